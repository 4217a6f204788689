package deadletter

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"github.com/google/uuid"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/deadletter/internal/store"
)

// happening is an event of an order's history.
type happening struct {
	order uuid.UUID
	name  string
}

// assess completes the prospects of letters by what the orders' histories say.
func assess(ctx context.Context, queries *store.Queries, letters []kept) error {
	var params store.ListHistoriesParams
	for _, one := range letters {
		if one.Refusal == "" {
			params.Orders, params.Names = append(params.Orders, one.order), append(params.Names, one.Happened)
		}
	}
	if len(params.Orders) == 0 {
		return nil
	}
	rows, err := queries.ListHistories(ctx, params)
	if err != nil {
		return fmt.Errorf("look up what happened to orders: %w", err)
	}
	histories := map[happening]store.ListHistoriesRow{}
	for _, row := range rows {
		histories[happening{row.ID, row.Name}] = row
	}
	for i := range letters {
		if one := &letters[i]; one.Refusal == "" {
			history, found := histories[happening{one.order, one.Happened}]
			one.judge(history, found)
		}
	}
	return nil
}

// judge holds a letter against its order's history, as the functions do: what
// they would refuse again isn't sent.
func (k *kept) judge(history store.ListHistoriesRow, found bool) {
	if !found {
		k.Refusal = "there is no such order"
		return
	}
	k.Number, k.Handled, k.recorded = history.Number, history.Handled, history.Data
	for _, reader := range k.kind.ReadBy {
		if !slices.Contains(k.Handled, reader) {
			k.Waiting = append(k.Waiting, reader)
		}
	}
	k.Refusal = k.objection(history)
}

func (k *kept) objection(history store.ListHistoriesRow) string {
	if history.Type != k.kind.Type {
		return "no such thing has happened to the order"
	}
	told, err := events.Decode(k.kind.Type, k.data())
	if err != nil {
		return "its data aren't those of its type: " + err.Error()
	}
	recorded, err := events.Decode(history.Type, history.Data)
	if err != nil {
		return "the order's history can't be read: " + err.Error()
	}
	if !reflect.DeepEqual(told, recorded) {
		return "the order's history says otherwise"
	}
	return ""
}

// replace has the letter sent with other data, and judges it anew.
func (k *kept) replace(data []byte) {
	if k.Refusal != "" && k.recorded == nil {
		return // not for its data's sake
	}
	k.edit = data
	k.Refusal = k.objection(store.ListHistoriesRow{Type: k.kind.Type, Data: k.recorded})
}
