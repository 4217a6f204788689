package main

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// behind changes something behind the journals' back, as a restore of one table does,
// or who knows better.
func (s *shop) behind(sql string, args ...any) {
	s.Helper()
	err := pgx.BeginFunc(s.Context(), s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(s.Context(), `set local session_replication_role = replica`); err != nil {
			return err
		}
		_, err := tx.Exec(s.Context(), sql, args...)
		return err
	})
	if err != nil {
		s.Fatalf("%s: %v", sql, err)
	}
}

// repaired is what is on record.
func (s *shop) repaired() []string {
	s.Helper()
	rows, err := s.pool.Query(s.Context(), `select concat_ws(' ', subject, figure || ':', was, '→', became, 'by', actor || ',', reason) from repairs order by id`)
	s.must(err)
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	s.must(err)
	for i, line := range all {
		all[i] = s.named(line)
	}
	return all
}

// named has the names of orders for their ids.
func (s *shop) named(text string) string {
	return strings.NewReplacer(s.shipped.ID.String(), "SHIPPED", s.cancelled.ID.String(), "CANCELLED", s.neverAsked.ID.String(), "NEVERASKED",
		s.other.ID.String(), "OTHER").Replace(text)
}

func yes() bool { return true }

// TestEachDriftIsRepaired breaks one figure at a time, looks at the plan, applies it,
// and is clean.
func TestEachDriftIsRepaired(t *testing.T) {
	t.Parallel()
	const signed = " by ada, a restore went wrong"
	for name, test := range map[string]struct {
		drift func(s *shop)
		want  []string
	}{
		"units reserved by nobody": {
			func(s *shop) { s.exec(`update stock set reserved = 3 where sku = 'TEST-ONE'`) },
			[]string{"stock TEST-ONE reserved: 3 → 0"},
		},
		"units that are gone": {
			func(s *shop) {
				s.exec(`update stock set on_hand = on_hand - 1, shipped = shipped + 1 where sku = 'TEST-TWO'`)
			},
			[]string{"stock TEST-TWO on_hand: 97 → 98", "stock TEST-TWO shipped: 3 → 2"},
		},
		"a dead order's units held": {
			func(s *shop) {
				s.dead()
				s.exec(`update reservations set state = 'held' where order_id = $1; `, s.cancelled.ID)
				s.exec(`update stock set reserved = reserved + case sku when 'TEST-ONE' then 2 else 1 end`)
			},
			[]string{
				"order CANCELLED reservation of TEST-ONE: 2 held → 2 released", "order CANCELLED journal of TEST-ONE: 2 reserved, 0 shipped → 0 reserved, 0 shipped",
				"order CANCELLED reservation of TEST-TWO: 1 held → 1 released", "order CANCELLED journal of TEST-TWO: 1 reserved, 0 shipped → 0 reserved, 0 shipped",
				"stock TEST-ONE reserved: 2 → 0", "stock TEST-TWO reserved: 1 → 0",
			},
		},
		"a dead order's units held, behind the journal's back": {
			func(s *shop) {
				s.dead()
				s.behind(`update reservations set state = 'held' where order_id = $1 and sku = 'TEST-ONE'`, s.cancelled.ID)
				s.exec(`update stock set reserved = 2 where sku = 'TEST-ONE'`)
			},
			[]string{"order CANCELLED reservation of TEST-ONE: 2 held → 2 released", "stock TEST-ONE reserved: 2 → 0"},
		},
		"a shipped order's reservation lost": {
			func(s *shop) {
				s.behind(`delete from reservations where order_id = $1 and sku = 'TEST-TWO'`, s.shipped.ID)
			},
			[]string{"order SHIPPED reservation of TEST-TWO: none → 1 shipped"},
		},
		"another quantity reserved": {
			func(s *shop) {
				s.exec(`update reservations set quantity = 5 where order_id = $1 and sku = 'TEST-ONE'`, s.shipped.ID)
			},
			[]string{
				"order SHIPPED reservation of TEST-ONE: 5 shipped → 2 shipped", "order SHIPPED journal of TEST-ONE: 0 reserved, 5 shipped → 0 reserved, 2 shipped",
			},
		},
		"a payment of another state": {
			func(s *shop) { s.exec(`update payments set state = 'voided' where order_id = $1`, s.shipped.ID) },
			[]string{"order SHIPPED payment: voided EUR 33.00 → captured EUR 33.00", "order SHIPPED journal of money: 0 held, 0 kept → 0 held, 3300 kept"},
		},
		"a payment of another state, behind the journal's back": {
			func(s *shop) { s.behind(`update payments set state = 'authorised' where order_id = $1`, s.shipped.ID) },
			[]string{"order SHIPPED payment: authorised EUR 33.00 → captured EUR 33.00"},
		},
		"a payment of another amount": {
			func(s *shop) { s.exec(`update payments set amount = 3200 where order_id = $1`, s.shipped.ID) },
			[]string{"order SHIPPED payment: captured EUR 32.00 → captured EUR 33.00", "order SHIPPED journal of money: 0 held, 3200 kept → 0 held, 3300 kept"},
		},
		"a payment lost": {
			func(s *shop) { s.behind(`delete from payments where order_id = $1`, s.cancelled.ID) },
			[]string{"order CANCELLED payment: no payment → voided EUR 33.00"},
		},
		"journalled, and never moved": {
			func(s *shop) {
				s.exec(`insert into money_transfers (order_id, kind, debit, credit, amount, currency, cause)
					values ($1, 'capture', 'held', 'captured', 3300, 'EUR', 'inventory-updated')`, s.shipped.ID)
			},
			[]string{"order SHIPPED journal of money: -3300 held, 6600 kept → 0 held, 3300 kept"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			test.drift(s)
			code, out, trouble := s.audit("--repair=ask", "--by=ada")
			if code != exitWrong || trouble != "" || len(s.repaired()) > 0 || !strings.Contains(out, "there is nobody to ask") {
				t.Fatalf("a repair that nobody approves ends with %d: %s%s", code, out, trouble)
			}
			code, out, trouble = s.audit("--repair=yes", "--by=ada", "--reason=a restore went wrong")
			if code != exitClean || trouble != "" || !strings.Contains(out, "The audit anew:") {
				t.Errorf("the repair ends with %d:\n%s%s", code, out, trouble)
			}
			var want []string
			for _, line := range test.want {
				want = append(want, line+signed)
				subject, rest, _ := strings.Cut(strings.Replace(line, " ", "\x00", 1), " ")
				figure, change, _ := strings.Cut(rest, ": ")
				if planned := strings.Join(strings.Fields(s.named(out)), " "); !strings.Contains(planned,
					strings.Replace(subject, "\x00", " ", 1)+" "+figure+" "+change+",") {
					t.Errorf("%q is not in the plan", line)
				}
			}
			if diff := cmp.Diff(want, s.repaired()); diff != "" {
				t.Errorf("on record (-want +got):\n%s\n%s", diff, out)
			}
			wantClean(t, s)
		})
	}
}

// dead has the order that is cancelled be one that had its units, and all of whose
// events are handled.
func (s *shop) dead() {
	s.Helper()
	s.cancelled = s.cancelReserved()
	_, err := s.provider.Release(s.Context(), s.cancelled.ID.String())
	s.must(err)
	s.exec(`update payments set state = 'voided' where order_id = $1`, s.cancelled.ID)
	s.finish()
	wantClean(s.T, s)
}

// What doesn't follow from anything is left to people, and all else is repaired.
func TestWhatNeedsAPersonIsLeft(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		drift func(s *shop)
		why   string
	}{
		"refunded behind our back": {
			func(s *shop) {
				_, err := s.provider.Release(s.Context(), s.shipped.ID.String())
				s.must(err)
			},
			"order SHIPPED: it is shipped, and the provider says refunded",
		},
		"charged twice": {
			func(s *shop) {
				id := s.paymentOf(s.shipped)
				s.forgeMovements(s.shipped, moved{id, "authorise", eur(3300)}, moved{id, "capture", eur(3300)})
			},
			"order SHIPPED: the provider's ledger and its record contradict each other",
		},
		"unknown to the provider": {func(s *shop) { s.forget(s.shipped) }, "order SHIPPED: our database says captured EUR 33.00, and the provider has no record of it"},
		"another amount at the provider": {
			func(s *shop) { s.shipped = s.ship(3301, true); s.finish() },
			"order SHIPPED: it is of EUR 33.00, and the provider says EUR 33.01",
		},
		"goods that came behind the journal's back": {
			func(s *shop) { s.behind(`update stock set received = 7, on_hand = on_hand + 7 where sku = 'TEST-TWO'`) },
			"stock TEST-TWO: what came or was adjusted isn't what its journal says: count it",
		},
		"reserved though it never came to that": {
			func(s *shop) {
				s.exec(`insert into reservations values ($1, 'TEST-TWO', 1, 'held')`, s.neverAsked.ID)
			},
			"order NEVERASKED: it has TEST-TWO reserved, and its history knows nothing of that",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			test.drift(s)
			s.exec(`update stock set reserved = 3 where sku = 'TEST-ONE'`)
			code, out, trouble := s.audit("--repair=yes", "--by=ada")
			if code != exitWrong || trouble != "" || !strings.Contains(s.named(out), "\n   "+test.why+"\n") {
				t.Errorf("the repair ends with %d, and doesn't say %q:\n%s%s", code, test.why, s.named(out), trouble)
			}
			if diff := cmp.Diff([]string{"stock TEST-ONE reserved: 3 → 0 by ada, the audit found it wrong"}, s.repaired()); diff != "" {
				t.Errorf("on record (-want +got):\n%s", diff)
			}
		})
	}
}

// While somebody reads the plan and types yes, orders go on, and others repair.
func TestRepairWhileThingsMove(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.exec(`update stock set reserved = 3 where sku = 'TEST-ONE'`)
	s.exec(`update stock set reserved = 1 where sku = 'TEST-TWO'`)
	s.behind(`update payments set state = 'authorised' where order_id = any ($1)`, []uuid.UUID{s.shipped.ID, s.other.ID})
	var orders sync.WaitGroup
	var over atomic.Bool
	ask := func() bool {
		s.exec(`update stock set reserved = 2 where sku = 'TEST-TWO'`)
		s.behind(`update payments set state = 'captured' where order_id = $1`, s.other.ID)
		started := make(chan struct{})
		orders.Go(func() {
			close(started)
			for !over.Load() {
				reserveAndRelease(s)
			}
		})
		<-started
		return true
	}
	code, out, trouble := s.auditAsking(ask, "--repair=ask", "--by=ada")
	over.Store(true)
	orders.Wait()
	if code != exitWrong || trouble != "" {
		t.Errorf("the repair ends with %d: %s", code, trouble)
	}
	for _, want := range []string{
		"repaired stock TEST-ONE\n", "left     stock TEST-TWO: it has changed meanwhile\n", "repaired order SHIPPED\n", "left     order OTHER: it has changed meanwhile\n",
	} {
		if !strings.Contains(s.named(out), want) {
			t.Errorf("it doesn't say %q:\n%s", want, s.named(out))
		}
	}
	if code, out, _ = s.auditAsking(func() bool { return false }, "--repair=ask", "--by=ada"); code != exitWrong || !strings.Contains(out, "Nothing is repaired.") {
		t.Errorf("a repair that was not approved ends with %d:\n%s", code, out)
	}
	if code, out, _ = s.auditAsking(yes, "--repair=ask", "--by=ada"); code != exitClean {
		t.Errorf("the repair of the rest ends with %d:\n%s", code, out)
	}
	if got := len(s.repaired()); got != 3 {
		t.Errorf("%d repairs are on record, want 3: %v", got, s.repaired())
	}
}

// reserveAndRelease moves the stock of both articles, and its journal, as functions do.
func reserveAndRelease(s *shop) {
	err := pgx.BeginFunc(s.Context(), s.pool, func(tx pgx.Tx) error {
		for _, sql := range []string{
			`select from stock order by sku for no key update`,
			`insert into stock_transfers (sku, kind, debit, credit, quantity, cause) select sku, 'reserve', 'available', 'reserved', 1, 'x' from stock`,
			`update stock set reserved = reserved + 1`,
			`insert into stock_transfers (sku, kind, debit, credit, quantity, cause) select sku, 'release', 'reserved', 'available', 1, 'x' from stock`,
			`update stock set reserved = reserved - 1`,
		} {
			if _, err := tx.Exec(s.Context(), sql); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.Error(err)
	}
}

func TestRepairIsRefused(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for _, args := range [][]string{{"--repair=yes", "--by="}, {"--repair=yes", "--by=ada", "--moving"}, {"--repair=yes", "--by=ada", "--reason="}, {"--repair=no"}} {
		if code, _, trouble := s.audit(args...); code != exitUnknown || trouble == "" {
			t.Errorf("audit %v ends with %d: %s", args, code, trouble)
		}
	}
	wantClean(t, s, "--repair=yes", "--by=ada")
	if len(s.repaired()) > 0 {
		t.Error("something was repaired in a true world")
	}
}
