-- Who someone is. This mapping decides which users are contacts in Meisa: those it returns.
-- An example: put your own table and columns in place of these. Columns called email, first_name,
-- last_name, display_name are Meisa's own; every other column becomes a custom field.
{{ config(fields={
    'signup_date': {'type': 'date'},
}) }}
select
    u.id as external_id,
    u.email,
    u.first_name,
    u.last_name,
    u.created_at as signup_date
from users u
where {{ only('u.id') }}
