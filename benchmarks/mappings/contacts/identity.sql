-- Who the users are.
select u.id as external_id, u.email, u.first_name, u.last_name, u.country, u.job_title,
       u.language, u.created_at as signup_date, u.referral_source
from users u
where {{ only('u.id') }}
