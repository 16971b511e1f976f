-- What a customer has bought so far: how often, for how much, and when first and last. Thank-you
-- and win-back automations go by these.
{{ config(fields={
    'invoice_count': {'type': 'integer', 'missing': 0},
    'total_spent': {'type': 'number', 'missing': 0},
    'first_purchase': {'type': 'date'},
    'last_purchase': {'type': 'date'},
}) }}
select
    i.CustomerId as external_id,
    count(*) as invoice_count,
    -- Rounded, because SQLite adds up in floating point: 39.620000000000005 for 39.62.
    round(sum(i.Total), 2) as total_spent,
    min(i.InvoiceDate) as first_purchase,
    max(i.InvoiceDate) as last_purchase
from Invoice i
where {{ only('i.CustomerId') }}
group by i.CustomerId
