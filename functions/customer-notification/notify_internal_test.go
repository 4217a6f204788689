package function

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/orderflow-project/orderflow/events"
	"github.com/orderflow-project/orderflow/shared/postgres/postgrestest"
	"github.com/orderflow-project/orderflow/shared/stage"
	"github.com/orderflow-project/orderflow/shared/stage/stagetest"
)

// TestFrameDeadline holds the frame's deadline, which ours are made to fit, equal
// to what we take it for.
func TestFrameDeadline(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	type moments struct{ end, asked time.Time }
	seen := make(chan moments, 1)
	f := stage.New("customer-notification", stage.Rules(func(context.Context, stage.Env) ([]stage.Rule, error) {
		return []stage.Rule{stage.Observer[events.PaymentVerified, stage.None]{
			Ask: func(ctx context.Context, _ stage.In[events.PaymentVerified]) (stage.None, error) {
				end, _ := ctx.Deadline()
				seen <- moments{end, time.Now()}
				return stage.None{}, nil
			},
			Apply: nothing[events.PaymentVerified],
		}}, nil
	}))
	address := stagetest.Run(t, f, map[string]string{"DATABASE_URL": pool.Config().ConnString()})
	began := time.Now()
	if status, body := stagetest.Place(t, pool, events.StatusPaymentVerified).Deliver(t, address, events.TypePaymentVerified); status != http.StatusOK {
		t.Fatalf("answered %d %s", status, body)
	}
	at := <-seen
	if start := at.end.Add(-frameDeadline); start.Before(began) || start.After(at.asked) {
		t.Errorf("the frame's deadline is %s after the delivery began, want %s", at.end.Sub(began), frameDeadline)
	}
}

// TestRefusalIsLogged has SendGrid refuse a mail, which ends the delivery well: a
// warning is all that operators see of it.
func TestRefusalIsLogged(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"errors":[{"message":"Bad Request","field":"subject"}]}`)
	}))
	t.Cleanup(server.Close)
	pool, written := postgrestest.New(t), make(lines, 10)
	f := stage.New("customer-notification", func(ctx context.Context, env stage.Env) (http.Handler, error) {
		env.Logger = slog.New(slog.NewJSONHandler(written, nil))
		return build(ctx, env)
	})
	address := stagetest.Run(t, f, map[string]string{
		"DATABASE_URL": pool.Config().ConnString(), "SENDGRID_HOST": server.URL, "SENDGRID_API_KEY": "SG.for-tests",
		"MAIL_FROM": "orders@shop.example.com", "SHOP_URL": "https://shop.example.com", "ORDER_TOKEN_KEY": strings.Repeat("k", 32),
	})
	order := stagetest.Place(t, pool, events.StatusPaymentVerified)
	if status, body := order.Deliver(t, address, events.TypePaymentVerified); status != http.StatusOK {
		t.Fatalf("answered %d %s", status, body)
	}
	first, delivery := <-written, <-written
	var line map[string]string
	if err := json.Unmarshal([]byte(first), &line); err != nil {
		t.Fatalf("%v in %s", err, first)
	}
	if line["level"] != "WARN" || line["msg"] != "mail refused" || line["order"] != order.ID.String() || line["change"] != "order-placed" ||
		line["refused_for"] != "mail_refused" || line["error"] != "send mail: mail refused: status 400 (subject)" {
		t.Errorf("logged %s", first)
	}
	if log := first + delivery; strings.Contains(log, "ada@") || strings.Contains(log, "Ada") {
		t.Errorf("the log tells who the customer is: %s", log)
	}
}

// lines is a log that is read line by line.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}
