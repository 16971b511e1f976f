-- Every customer of the shop: address, name, country, and the company they buy for.
select
    c.customer_id as external_id,
    c.email as email,
    c.first_name as first_name,
    c.last_name as last_name,
    c.country as country,
    c.company as company
from customer c
where {{ only('c.customer_id') }}
