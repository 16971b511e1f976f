-- The genre a customer bought most tracks of, for recommendations. Of two genres with as many, the
-- one that is older in our catalogue.
{{ config(priority='background') }}
select
    ranked.CustomerId as external_id,
    ranked.genre as favourite_genre
from (
    select
        i.CustomerId,
        g.Name as genre,
        row_number() over (
            partition by i.CustomerId
            order by sum(l.Quantity) desc, g.GenreId
        ) as place
    from Invoice i
    join InvoiceLine l on l.InvoiceId = i.InvoiceId
    join Track t on t.TrackId = l.TrackId
    join Genre g on g.GenreId = t.GenreId
    where {{ only('i.CustomerId') }}
    group by i.CustomerId, g.GenreId, g.Name
) ranked
where ranked.place = 1
