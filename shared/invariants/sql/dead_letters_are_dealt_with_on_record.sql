-- A dead letter is redriven or discarded because somebody did so: the record says who, that the event was sent or why not, and when.
select l.id, l.state, l.event_id
from dead_letters l
where l.state <> 'open'
  and not exists (
    select from dead_letter_acts a
    where a.letter_id = l.id
      and (l.state, a.action, a.outcome) in (('redriven', 'redrive', 'sent'), ('discarded', 'discard', 'discarded')))
