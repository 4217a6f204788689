package page

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/orderflow-project/orderflow/functions/backoffice/internal/book"
	"github.com/orderflow-project/orderflow/functions/backoffice/internal/trail"
	"github.com/orderflow-project/orderflow/shared/deadletter"
)

// cause is a group of open letters, as forms and links name it.
type cause struct {
	book.Cause

	Function string
	Link     string
}

type lettersPage struct {
	frame

	Causes   []cause
	Letters  []deadletter.Letter
	Filter   deadletter.Filter
	States   []deadletter.State
	NextLink string
}

func states() []deadletter.State {
	return []deadletter.State{deadletter.StateOpen, deadletter.StateRedriven, deadletter.StateDiscarded}
}

// filterOf reads which letters are meant; those that are open, where nothing else is said.
func filterOf(values url.Values) deadletter.Filter {
	filter := deadletter.Filter{
		State: deadletter.State(values.Get("state")), Function: values.Get("function"), Code: values.Get("code"),
		Type: values.Get("type"), Error: values.Get("error"), Order: values.Get("order"),
	}
	if filter.State == "" {
		filter.State = deadletter.StateOpen
	}
	return filter
}

func (s *site) letters(w http.ResponseWriter, r request) error {
	query := r.URL.Query()
	page := lettersPage{frame: s.frame(w, r, "Dead letters", "/dead-letters"), Filter: filterOf(query), States: states()}
	causes, err := s.Book.Causes(r.Context())
	if err != nil {
		return err
	}
	for _, one := range causes {
		function := s.Addresses.Function(one.Address)
		link := url.Values{"function": {function}, "code": {one.Code}, "type": {one.Type}}
		page.Causes = append(page.Causes, cause{one, function, "/dead-letters?" + link.Encode()})
	}
	after, _ := strconv.ParseInt(query.Get("after"), 10, 64) // what is no number begins at the first
	page.Letters, err = s.Letters.Page(r.Context(), page.Filter, after, book.PageSize+1)
	if err != nil {
		return err
	}
	if len(page.Letters) > book.PageSize {
		page.Letters = page.Letters[:book.PageSize]
		query.Set("after", strconv.FormatInt(page.Letters[book.PageSize-1].ID, 10))
		page.NextLink = "/dead-letters?" + query.Encode()
	}
	return s.pages.render(w, "letters", http.StatusOK, page)
}

type letterPage struct {
	frame
	deadletter.Account

	Acts []trail.Entry
}

func letterID(r request) (int64, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || id <= 0 {
		return 0, book.ErrNoSuch
	}
	return id, nil
}

func targetLetter(id int64) string { return "dead letter " + strconv.FormatInt(id, 10) }

func letterPath(id int64) string { return "/dead-letters/" + strconv.FormatInt(id, 10) }

func (s *site) letter(w http.ResponseWriter, r request) error {
	id, err := letterID(r)
	if err != nil {
		return err
	}
	account, err := s.Letters.Show(r.Context(), id)
	if err != nil {
		return err
	}
	acts, err := s.Trail.On(r.Context(), targetLetter(id))
	if err != nil {
		return err
	}
	return s.pages.render(w, "letter", http.StatusOK, letterPage{s.frame(w, r, "Dead letter "+strconv.FormatInt(id, 10), "/dead-letters"), account, acts})
}

// one is the letter that an address names, in the state that it is in.
func (s *site) one(r request) (deadletter.Filter, int64, error) {
	id, err := letterID(r)
	if err != nil {
		return deadletter.Filter{}, 0, err
	}
	account, err := s.Letters.Show(r.Context(), id)
	return deadletter.Filter{IDs: []int64{id}, State: account.State}, id, err
}

func (s *site) redriveLetter(w http.ResponseWriter, r request) error {
	filter, id, err := s.one(r)
	if err != nil {
		return err
	}
	return s.redrive(w, r, filter, deadletter.Redrive{}, deed{target: targetLetter(id), back: letterPath(id), heading: "Send the event again?"})
}

func (s *site) editLetter(w http.ResponseWriter, r request) error {
	filter, id, err := s.one(r)
	if err != nil {
		return err
	}
	data := strings.TrimSpace(r.PostForm.Get("data"))
	return s.redrive(w, r, filter, deadletter.Redrive{Data: []byte(data)}, deed{
		action: "redrive edited dead letter", target: targetLetter(id), back: letterPath(id), heading: "Send the event with other data?", needsReason: true,
	})
}

func (s *site) redriveCause(w http.ResponseWriter, r request) error {
	filter := filterOf(r.PostForm)
	return s.redrive(w, r, filter, deadletter.Redrive{}, deed{
		target: "dead letters of " + filter.Function, details: detailsOf(filter), back: "/dead-letters", heading: "Send these events again?",
	})
}

func detailsOf(filter deadletter.Filter) map[string]string {
	return map[string]string{"state": string(filter.State), "function": filter.Function, "code": filter.Code, "type": filter.Type}
}

// tally counts what became of letters, or would.
type tally struct {
	counts map[deadletter.Outcome]int
	whys   map[string]int
}

func (t *tally) add(result deadletter.Result) {
	t.counts[result.Outcome]++
	if result.Why != "" {
		t.whys[string(result.Outcome)+": "+result.Why]++
	}
}

// says tells it in sentences, the reasons that are most frequent with it.
func (t *tally) says() []string {
	texts := map[deadletter.Outcome]string{
		deadletter.OutcomeSent: "sent", deadletter.OutcomeFailed: "not known to be accepted", deadletter.OutcomeRefused: "refused, since every function would refuse them again",
		deadletter.OutcomeLeft: "left alone", deadletter.OutcomeDiscarded: "discarded",
	}
	var all []string
	for _, outcome := range []deadletter.Outcome{deadletter.OutcomeSent, deadletter.OutcomeDiscarded, deadletter.OutcomeRefused, deadletter.OutcomeLeft, deadletter.OutcomeFailed} {
		if n := t.counts[outcome]; n > 0 {
			all = append(all, fmt.Sprintf("%s %s.", count(n), texts[outcome]))
		}
	}
	if len(all) == 0 {
		all = append(all, "None is meant: there is nothing to do.")
	}
	shown := 0
	for why, n := range t.whys {
		if shown++; shown > 5 {
			break
		}
		all = append(all, fmt.Sprintf("%s × %s", count(n), why))
	}
	return all
}

func newTally() *tally { return &tally{map[deadletter.Outcome]int{}, map[string]int{}} }

// redrive shows what it would come to, and then does it.
func (s *site) redrive(w http.ResponseWriter, r request, filter deadletter.Filter, how deadletter.Redrive, d deed) error {
	how.By, how.Reason = r.who.Name, reason(r)
	if d.action == "" {
		d.action = "redrive dead letters"
	}
	if r.PostForm.Get("confirm") != "yes" && (!d.needsReason || how.Reason != "") {
		how.DryRun = true
		would := newTally()
		if err := s.Letters.Redrive(r.Context(), s.Sink, filter, how, would.add); err != nil {
			return err
		}
		d.says = append([]string{"Whoever has handled the event already takes it for a duplicate: nothing is done twice. It would come to this:"}, would.says()...)
	}
	d.button, how.DryRun = "Send again", false
	d.do = func(ctx context.Context) (string, error) {
		became := newTally()
		err := s.Letters.Redrive(ctx, s.Sink, filter, how, became.add)
		note := "Redriven: " + strings.Join(became.says(), " ")
		if errors.Is(err, deadletter.ErrDown) {
			return "", trail.Refused{Why: "The sinks take no events at the moment. " + note}
		}
		if ctx.Err() != nil {
			return "", trail.Refused{Why: "The time was up before all were sent: please send the rest again. " + note}
		}
		return note, err
	}
	return s.perform(w, r, d)
}

func (s *site) discardLetter(w http.ResponseWriter, r request) error {
	filter, id, err := s.one(r)
	if err != nil {
		return err
	}
	return s.discard(w, r, filter, deed{target: targetLetter(id), back: letterPath(id), heading: "Discard this dead letter?"})
}

func (s *site) discardCause(w http.ResponseWriter, r request) error {
	filter := filterOf(r.PostForm)
	return s.discard(w, r, filter, deed{target: "dead letters of " + filter.Function, details: detailsOf(filter), back: "/dead-letters", heading: "Discard these dead letters?"})
}

func (s *site) discard(w http.ResponseWriter, r request, filter deadletter.Filter, d deed) error {
	act := deadletter.Act{By: r.who.Name, Reason: reason(r)}
	if act.Reason != "" && r.PostForm.Get("confirm") != "yes" {
		would := newTally()
		if err := s.Letters.Discard(r.Context(), filter, act, true, would.add); err != nil {
			return err
		}
		d.says = append([]string{"Their events stay on record, and nothing is done about them any more. It would come to this:"}, would.says()...)
	}
	d.action, d.button, d.needsReason = "discard dead letters", "Discard", true
	d.do = func(ctx context.Context) (string, error) {
		became := newTally()
		if err := s.Letters.Discard(ctx, filter, act, false, became.add); err != nil {
			return "", err
		}
		return strings.Join(became.says(), " "), nil
	}
	return s.perform(w, r, d)
}
