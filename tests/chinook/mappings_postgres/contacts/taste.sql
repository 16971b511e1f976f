-- The genre a customer bought most tracks of, for recommendations. Of two genres with as many, the
-- one that is older in our catalogue.
{{ config(priority='background') }}
select
    ranked.customer_id as external_id,
    ranked.genre as favourite_genre
from (
    select
        i.customer_id,
        g.name as genre,
        row_number() over (
            partition by i.customer_id
            order by sum(l.quantity) desc, g.genre_id
        ) as place
    from invoice i
    join invoice_line l on l.invoice_id = i.invoice_id
    join track t on t.track_id = l.track_id
    join genre g on g.genre_id = t.genre_id
    where {{ only('i.customer_id') }}
    group by i.customer_id, g.genre_id, g.name
) ranked
where ranked.place = 1
