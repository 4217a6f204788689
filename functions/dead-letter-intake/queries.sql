-- What dead-letter-intake asks of Postgres. sqlc makes internal/store from it.

-- name: FindDeadLetter :one
-- Read before is what comes from a place in the topic that this letter has come
-- from already.
select id, times, event, (@position::text <> '' and @position = any(positions))::boolean as read_before
from dead_letters
where event_source = @event_source and event_id = @event_id and error_dest = @error_dest;

-- name: AddDeadLetter :one
-- What a letter says is kept for good. To keep the first would let whoever forges
-- one hide the real one that comes later; to keep the latest would let them wipe
-- out the real one that came before. So this counts only for a letter that was
-- seen to say the same, and returns no row if there is another: see add.
--
-- One that comes again after it was redriven is open again: it has failed once
-- more. One that was discarded stays so. Of its places in the topic the newest
-- thousand are kept, which order-recovery takes weeks to fill.
insert into dead_letters
    (event_id, event_source, event_type, subject, error_dest, error_code, error_data, event, positions, first_at, last_at)
values (@event_id, @event_source, @event_type, @subject, @error_dest, @error_code, @error_data, @event,
    array_remove(array[@position::text], ''), now(), now())
on conflict (event_source, event_id, error_dest) do update
set times = least(dead_letters.times, 2147483646) + 1, last_at = now(),
    error_code = excluded.error_code, error_data = excluded.error_data,
    positions = (excluded.positions || dead_letters.positions)[1:1000],
    state = case dead_letters.state when 'redriven' then 'open' else dead_letters.state end
where dead_letters.event = sqlc.narg('seen')::bytea
returning id, times;
