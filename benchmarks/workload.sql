-- The app database that the benchmarks read: :users users, one subscription and three posts each.
create table plans (id int primary key, name text not null);
insert into plans values (1, 'free'), (2, 'standard'), (3, 'pro');
create table users (
    id int primary key, email text not null, first_name text, last_name text, country text,
    job_title text, language text, created_at timestamptz not null, referral_source text
);
insert into users
select n, 'user' || n || '@example.com', 'First' || n % 1000, 'Last' || n % 7919,
       (array['DE', 'FR', 'PK', 'US', 'BR'])[n % 5 + 1], 'Role ' || n % 50,
       (array['de', 'fr', 'en'])[n % 3 + 1],
       timestamptz '2024-01-01 00:00:00Z' + n * interval '13 seconds',
       (array['google', 'friend', 'podcast'])[n % 3 + 1]
from generate_series(1, :users) n;
create table subscriptions (
    user_id int primary key, plan_id int not null, billing_cycle text, mrr numeric(10, 2)
);
insert into subscriptions
select n, n % 3 + 1, (array['monthly', 'annual'])[n % 2 + 1], (n % 3) * 19.50
from generate_series(1, :users) n;
create table posts (id bigint primary key, author_id int not null, kind text not null);
insert into posts
select n, n % :users + 1, (array['idea', 'post', 'comment'])[n % 3 + 1]
from generate_series(1, :users * 3) n;
create index on posts (author_id);
analyze;
