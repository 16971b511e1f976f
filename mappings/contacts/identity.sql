-- Who someone is: address, name, and what they told us when they signed up. This mapping decides
-- which users are contacts in Meisa. Welcome and onboarding automations start from here.
{{ config(fields={
    'signup_date': {'type': 'date'},
    'onboarding_completed': {'type': 'boolean'},
}) }}
select
    u.id as external_id,
    u.email,
    u.first_name,
    u.last_name,
    u.country,
    u.job_title,
    u.language,
    u.created_at as signup_date,
    u.referral_source,
    u.onboarding_completed
from users u
where {{ only('u.id') }}
