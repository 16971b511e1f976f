-- What they do.
select author_id as external_id, count(*) as posts_generated,
       count(*) filter (where kind = 'idea') as ideas_generated
from posts
where {{ only('author_id') }}
group by author_id
