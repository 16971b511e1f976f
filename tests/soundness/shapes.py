"""Mappings of many shapes over five small tables, written by hand."""

#: Table -> columns with their types; `rid` tells the rows apart, which nothing else does.
TABLES = {
    "users": {"rid": "int", "id": "int", "team": "bigint", "boss": "int", "name": "text"},
    "teams": {"rid": "int", "id": "bigint", "owner": "int", "kind": "varchar(9)"},
    "subs": {"rid": "int", "id": "int", "user_id": "int", "plan": "int", "state": "text"},
    "plans": {"rid": "int", "id": "int", "kind": "text", "price": "numeric(6, 2)"},
    "posts": {"rid": "int", "id": "int", "author": "int", "ref": "int", "size": "int"},
}

_SHAPES = """
select id as external_id, name from users
;
select u.id as external_id, u.name || u.boss as x from users u where u.team = 1 or u.boss is null
;
select distinct u.id as external_id, u.name from users u
;
select u.id as external_id, t.kind from users u join teams t on t.id = u.team
;
select u.id as external_id, t.kind from users u, teams t where t.id = u.team and t.kind = 'a'
;
select u.id as external_id, s.plan from users u left join subs s on s.user_id = u.id
;
select u.id as external_id, s.plan from users u
left join subs s on s.user_id = u.id and s.state = 'a'
;
select u.id as external_id, s.state from users u left join subs s on s.user_id = u.id
where s.id is null
;
select u.id as external_id, s.state from users u left join subs s on s.user_id = u.id
where coalesce(s.state, 'a') = 'a'
;
select u.id as external_id, p.price from users u left join subs s on s.user_id = u.id
left join plans p on p.id = s.plan
;
select u.id as external_id, p.price from users u left join subs s on s.user_id = u.id
left join plans p on p.id = s.plan where p.kind is distinct from 'a'
;
select u.id as external_id, p.price from users u left join subs s on s.user_id = u.id
left join plans p on p.id = s.plan where p.kind = 'b'
;
select u.id as external_id, p.kind from users u
left join (subs s join plans p on p.id = s.plan) on s.user_id = u.id
;
select s.user_id as external_id, u.name from users u left join subs s on s.user_id = u.id
;
select s.user_id as external_id, t.kind from users u left join subs s on s.user_id = u.id
left join teams t on t.id = u.team
;
select u.id as external_id, count(*) as n from users u join posts p on p.author = u.id group by u.id
;
select u.id as external_id, count(p.id) as n, max(p.size) as m from users u
left join posts p on p.author = u.id group by 1
;
select author as external_id, count(*) as n from posts group by author having sum(size) > 3
;
select author as external_id, ref, count(*) as n from posts group by author, ref
;
select p.author as external_id from posts p group by p.author
having count(*) > (select min(price) from plans where id = p.author)
;
select u.id as external_id, u.name from users u
where exists (select 1 from posts p where p.author = u.id)
;
select u.id as external_id, u.name from users u
where not exists (select 1 from posts p where p.author = u.id and p.size > 1)
;
select u.id as external_id from users u where exists (select from subs s join plans p on p.id =
s.plan
where s.user_id = u.id and p.kind = 'a')
;
select u.id as external_id from users u where not exists (select 1 from subs s where s.user_id =
u.id
and exists (select 1 from plans p where p.id = s.plan and p.kind = 'a'))
;
select u.id as external_id from users u where u.id in (select author from posts)
;
select u.id as external_id from users u where u.id in (select author from posts group by author
having count(*) > 1)
;
select u.id as external_id from users u where u.boss not in (select author from posts)
;
select u.id as external_id from users u where u.team = 1 and not (u.boss in (select owner from teams
where kind = 'a'))
;
select u.id as external_id, u.boss in (select author from posts) as known from users u
;
select u.id as external_id, (u.id, u.boss) not in (select author, ref from posts) as x from users u
;
select u.id as external_id from users u where (u.id, u.team) in (select p.author, p.ref from posts
p)
;
select u.id as external_id from users u where u.name = 'a' or exists (select 1 from subs s
where s.user_id = u.id)
;
select u.id as external_id, (select count(*) from posts p where p.author = u.id) as n from users u
;
select u.id as external_id, (select max(p.size) from posts p where p.author = u.boss) as m
from users u where u.team is not null
;
select u.id as external_id, coalesce((select t.kind from teams t where t.id = u.team
order by t.rid limit 1), '-') as kind from users u
;
select u.id as external_id, array(select p.size from posts p where p.author = u.id order by p.rid)
as a
from users u
;
select u.id as external_id, case when exists (select 1 from teams t where t.owner = u.id)
then 'owner' else u.name end as role from users u
;
select u.id as external_id from users u where u.boss > (select min(p.size) from posts p
where p.author = u.id)
;
with active as (select user_id, plan from subs where state = 'a'),
priced as (select a.user_id, p.price from active a join plans p on p.id = a.plan)
select u.id as external_id, x.price from users u left join priced x on x.user_id = u.id
;
with n as (select author, count(*) as n from posts group by author)
select u.id as external_id, coalesce(n.n, 0) as n from users u left join n on n.author = u.id
;
with n as (select author, count(*) as n from posts group by author)
select a.author as external_id, a.n, b.n as m from n a join n b on b.author = a.author + 1
;
with users as (select user_id as id from subs where state = 'a') select id as external_id from users
;
select id as external_id, name from users union select author, 'author' from posts
;
select id as external_id, name from users union all select user_id, state from subs where plan = 1
;
select id as external_id from users except select author from posts
;
select id as external_id from users intersect select user_id from subs where state is not null
;
select x.id as external_id, t.kind from (select id, team from users union all
select user_id, plan from subs) x join teams t on t.id = x.team
;
select p.author as external_id, p.size, row_number() over (partition by p.author order by p.rid) as
n
from posts p
;
select x.author as external_id, x.size from (select p.author, p.size,
row_number() over (partition by p.author order by p.size desc nulls last, p.rid) as n from posts p)
x
where x.n = 1
;
select u.id as external_id, x.plan, pl.price from users u join (select s.user_id, s.plan,
row_number() over (partition by s.user_id order by s.rid) as n from subs s) x
on x.user_id = u.id and x.n = 1 join plans pl on pl.id = x.plan
;
select p.author as external_id, sum(p.size) over w as s, count(*) over (partition by p.author,
p.ref)
as c from posts p window w as (partition by p.author)
;
select distinct on (s.user_id) s.user_id as external_id, s.plan, s.state from subs s
order by s.user_id, s.rid desc
;
select distinct on (external_id) u.id as external_id, s.plan from users u
left join subs s on s.user_id = u.id order by external_id, s.rid, u.rid
;
select distinct on (s.plan) s.user_id as external_id, s.state from subs s order by s.plan, s.rid
;
select u.id as external_id, x.state from users u join (select distinct on (plan) plan, user_id,
state from subs order by plan, rid) x on x.user_id = u.id
;
select u.id as external_id, x.plan, p.price from users u join (select distinct on (user_id)
user_id, plan
from subs order by user_id, rid) x on x.user_id = u.id left join plans p on p.id = x.plan
;
select u.id as external_id, l.size from users u cross join lateral (select p.size from posts p
where p.author = u.id order by p.rid limit 1) l
;
select u.id as external_id, l.n from users u left join lateral (select count(*) as n from posts p
where p.author = u.id) l on true join subs s on s.user_id = u.boss
;
select u.id as external_id, c.n, s.state from users u cross join lateral (select count(*) as n
from posts p where p.author = u.id) c join subs s on s.user_id = u.id
;
select u.id as external_id, l.kind from users u, lateral (select s.plan from subs s
where s.user_id = u.id order by s.rid limit 2) a, lateral (select p.kind from plans p
where p.id = a.plan) l
;
select u.id as external_id, b.name from users u join users b on b.id = u.boss
;
select u.id as external_id, b.name, c.name as top from users u left join users b on b.id = u.boss
left join users c on c.id = b.boss
;
select b.id as external_id, count(u.id) as n from users b left join users u on u.boss = b.id
group by b.id
;
select coalesce(u.id, s.user_id) as external_id, s.state from users u join subs s on s.user_id =
u.id
;
select 'u' || u.id as external_id, u.name from users u join subs s on s.user_id = u.id
;
select case when u.team = 1 then u.id else u.boss end as external_id, t.kind from users u
join teams t on t.id = u.team
;
select id as external_id, state from users join subs using (id)
;
select t.owner as external_id, count(*) as n, sum(p.size) as size from teams t
join users u on u.team = t.id join posts p on p.author = u.id where t.kind <> 'b' group by t.owner
;
select u.id as external_id, x.n from users u join (select s.plan, count(*) as n from subs s
group by s.plan) x on x.plan = u.team
;
select u.id as external_id, x.n from users u left join (select s.plan, p.kind, count(*) as n from
subs s
left join plans p on p.id = s.plan group by s.plan, p.kind) x on x.plan = u.team and x.kind = u.name
;
select u.id as external_id, u.name from users u where now() > '2020-01-01' and u.team = 1
;
select u.id as external_id, e.e from users u, unnest(array[u.team, u.boss]) as e(e)
;
select u.id as external_id from users u where (select count(*) from subs s where s.user_id = u.id
and s.plan in (select p.id from plans p where p.kind = 'a')) > 0
;
select u.id as external_id, u.name from users u where u.id = any (select s.user_id from subs s
where s.user_id = u.id)
;
select u.id as external_id from users u join teams t on t.id = u.team
where t.owner in (select b.id from users b where b.boss = u.id)
;
select p.price as external_id, s.state from plans p join subs s on s.plan = p.id
;
select u.id as external_id, p.kind from users u join plans p on p.price = u.id
;
select u.boss as external_id from users u where exists (select 1 from posts u,
(select s.plan from subs s where s.user_id = u.id) d where d.plan = u.ref)
;
select u.boss as external_id, c.n, s.state from users u cross join lateral (select count(*) as n
from posts p where p.author = u.id) c join subs s on s.user_id = u.id
;
select u.id as external_id, row_to_json(s) as j from users u join subs s on s.user_id = u.id
;
select u.id as external_id, s.plan from users u left join subs s on s.user_id = u.id
and s.plan in (select p.id from plans p where p.kind = 'a')
;
select u.id as external_id, t.kind, p.kind as k from users u
left join teams t on t.id = u.team and exists (select 1 from posts p where p.ref = t.id)
left join plans p on p.id = t.owner
;
select u.boss as external_id, t.kind, x.a from users u join (select author as a from posts
except select ref from posts where size = 1) x on x.a = u.id join teams t on t.id = u.team
;
select u.boss as external_id, t.kind from users u join (select id from users intersect
select owner from teams) x on x.id = u.id join teams t on t.id = u.team
;
select u.boss as external_id, p.kind from users u join (select s.user_id, s.plan from subs s
order by s.rid limit 4) x on x.user_id = u.id join plans p on p.id = x.plan where u.name = 'a'
;
select max(u.id) as external_id from users u
;
select u.id as external_id, rank() over (order by u.rid) as r from users u
;
select u.id as external_id from users u order by u.rid limit 3
;
select u.id as external_id, s.n from users u cross join (select count(*) as n from subs) s
;
select u.id as external_id from users u where (select count(*) from plans) > u.team
;
select coalesce(u.id, s.user_id) as external_id from users u full join subs s on s.user_id = u.id
;
select coalesce(s.user_id, u.id) as external_id, s.plan from users u left join subs s on s.user_id
= u.id
;
select coalesce(u.id, p.author) as external_id, p.size, s.state from posts p
left join users u on u.id = p.author left join subs s on s.user_id = u.boss
;
with recursive up as (select id, boss from users union select u.id, p.boss from up p
join users u on u.id = p.boss) select id as external_id, boss from up
"""
#: Each is a mapping.
SHAPES = tuple(" ".join(each.split()) for each in _SHAPES.split(";"))
