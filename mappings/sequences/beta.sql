-- Who signed up for the beta. Everybody on the list is enrolled once, up to five hundred people with
-- one request.
select
    'beta-program' as sequence_slug,
    u.email
from beta_signups b
join users u on u.id = b.user_id
where u.email is not null
