-- How much someone has made with the product so far. Milestone mails (the first post, the tenth)
-- and nudges for people who have not started yet go by these counts.
{{ config(every='5m', fields={
    'posts_generated': {'type': 'integer', 'missing': 0},
    'ideas_generated': {'type': 'integer', 'missing': 0},
    'comments_generated': {'type': 'integer', 'missing': 0},
}) }}
select
    p.user_id as external_id,
    sum(case when p.kind = 'post' then 1 else 0 end) as posts_generated,
    sum(case when p.kind = 'idea' then 1 else 0 end) as ideas_generated,
    sum(case when p.kind = 'comment' then 1 else 0 end) as comments_generated
from posts p
where {{ only('p.user_id') }}
group by p.user_id
