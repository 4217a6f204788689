package page

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/orderdesk"
	"github.com/orderflow-project/orderflow/shared/orderstory"
)

// What a form says of an article that comes back: the field's name is one of these and
// the SKU.
const (
	fieldGood    = "good-"
	fieldDamaged = "damaged-"
)

func (s *site) takeBack(w http.ResponseWriter, r request) error {
	story, id, err := s.meant(r)
	if err != nil {
		return err
	}
	back, reference, err := comesBack(r, story)
	if err != nil {
		return err
	}
	says := []string{back.Refund.String() + " goes back to the customer, who gets a mail."}
	for _, line := range back.Lines {
		what := "for sale again"
		if !line.Restocked {
			what = "not for sale"
		}
		says = append(says, fmt.Sprintf("%d × %s comes back, %s.", line.Quantity, line.SKU, what))
	}
	return s.perform(w, r, deed{
		action: "take back", target: targetOrder(story.ID),
		details: map[string]string{"number": story.Number, "reference": reference, "refund": back.Refund.String(), "why": string(back.Reason)},
		heading: "Take back what was shipped of " + story.Number + "?", button: "Take back and refund", back: "/orders/" + story.ID,
		says: append(says, "This can’t be taken back. The number "+reference+" stands for this return, however often it is entered."),
		do: func(ctx context.Context) (string, error) {
			return s.Orders.TakeBack(ctx, id, back, orderdesk.Act{By: r.who.Name, Reference: reference, Reason: reason(r)})
		},
	})
}

// comesBack reads the form.
func comesBack(r request, story orderstory.Story) (back orderdesk.Return, reference string, err error) {
	wrong := func(heading, text string) error {
		return problem{http.StatusUnprocessableEntity, heading, "Nothing was done. " + text}
	}
	if back.Lines, err = linesBack(r, story.Lines); err != nil {
		return back, "", wrong("How many?", "Please go back and write a whole number of units, or nothing.")
	}
	if back.Refund, err = events.ParseMoney(strings.TrimSpace(r.PostForm.Get("refund")), story.Total.Currency); err != nil || back.Refund.Amount == 0 {
		return back, "", wrong("How much?", "Please go back and write what the customer gets, like 12.34.")
	}
	back.Reason = events.ReturnReason(r.PostForm.Get("why"))
	if !slices.Contains(events.ReturnReasons(), back.Reason) {
		return back, "", wrong("Why?", "Please go back and choose why.")
	}
	reference = strings.TrimSpace(r.PostForm.Get("reference"))
	if reference == "" || len(reference) > 100 {
		return back, "", wrong("Which return?", "Please go back and write the number of the return, by which it is known again.")
	}
	return back, reference, nil
}

func linesBack(r request, ordered []events.Line) (back []events.ReturnedLine, err error) {
	for _, line := range ordered {
		for _, kind := range []string{fieldGood, fieldDamaged} {
			text := strings.TrimSpace(r.PostForm.Get(kind + line.SKU))
			if text == "" || text == "0" {
				continue
			}
			units, err := strconv.ParseUint(text, 10, 31)
			if err != nil {
				return nil, fmt.Errorf("units of %s: %w", line.SKU, err)
			}
			back = append(back, events.ReturnedLine{SKU: line.SKU, Quantity: int(units), Restocked: kind == fieldGood})
		}
	}
	return back, nil
}
