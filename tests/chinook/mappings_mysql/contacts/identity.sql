-- Every customer of the shop: address, name, country, and the company they buy for.
select
    c.CustomerId as external_id,
    c.Email as email,
    c.FirstName as first_name,
    c.LastName as last_name,
    c.Country as country,
    c.Company as company
from Customer c
where {{ only('c.CustomerId') }}
