-- Who used a feature for the first time. The automation that sends tips to power users starts from
-- this event; what was there at the first run is not told again.
select
    a.id as event_id,
    'feature_activated' as event_name,
    a.user_id as external_id,
    a.at as occurred_at,
    a.feature
from activations a
