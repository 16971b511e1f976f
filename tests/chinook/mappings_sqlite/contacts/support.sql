-- The colleague who looks after a customer, so that mails can be signed with the right name.
select
    c.CustomerId as external_id,
    e.FirstName || ' ' || e.LastName as support_rep
from Customer c
join Employee e on e.EmployeeId = c.SupportRepId
where {{ only('c.CustomerId') }}
