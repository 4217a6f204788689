package pipelinetest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"testing"

	"github.com/orderflow-project/orderflow/infra/local/localtest"
	"github.com/orderflow-project/orderflow/infra/local/s3"
	"github.com/orderflow-project/orderflow/shared/freeport"
	"github.com/orderflow-project/orderflow/shared/mailbox"
	"github.com/orderflow-project/orderflow/shared/payment"
	"github.com/orderflow-project/orderflow/shared/payment/sandbox/sandboxtest"
	"github.com/orderflow-project/orderflow/shared/postgres/demo"
	"github.com/orderflow-project/orderflow/shared/subprocess"
)

const key = "a key for tests"

// labels is the project's S3, which all tests of a package share.
var labels = map[string]string{
	"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "access", "AWS_SECRET_ACCESS_KEY": "secret-of-tests", "LABEL_BUCKET": "labels-of-tests",
}

// Variables by which the test's own program is told to be the S3.
const (
	beS3At = "PIPELINETEST_S3_ADDRESS"
	beS3In = "PIPELINETEST_S3_FOLDER"
)

// Main runs a package's tests beside an S3, as the package's TestMain. The S3 is
// the test's own program once more: it takes a process for itself, and its
// working folder too.
func Main(m *testing.M) {
	code, err := runBesideS3(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

func runBesideS3(m *testing.M) (int, error) {
	if address := os.Getenv(beS3At); address != "" {
		return 0, serveS3(address, os.Getenv(beS3In))
	}
	dir, err := os.MkdirTemp("", "orderflow-s3-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	port, err := freeport.Find()
	if err != nil {
		return 1, err
	}
	address := "127.0.0.1:" + strconv.Itoa(port)
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), beS3At+"="+address, beS3In+"="+dir)
	stop, err := subprocess.Start(command, subprocess.Healthy("http://"+address+"/healthz"))
	if err != nil {
		return 1, err
	}
	labels["AWS_ENDPOINT_URL_S3"] = "http://" + address
	code := m.Run()
	return code, stop()
}

func serveS3(address, dir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	return s3.Run(ctx, s3.Config{
		Address: address, Dir: dir, Buckets: []string{labels["LABEL_BUCKET"]}, Region: labels["AWS_REGION"],
		AccessKey: labels["AWS_ACCESS_KEY_ID"], SecretKey: labels["AWS_SECRET_ACCESS_KEY"],
	})
}

// Shop is a pipeline with all that it needs outside of it, and the demo's articles.
type Shop struct {
	*Pipeline

	Provider *sandboxtest.Provider
	// Mailbox is where mails are read.
	Mailbox string
	// S3 is the gate before it.
	S3 *Gate
}

// Open starts a shop; changes are to what its functions are told. The package's
// TestMain has to be Main.
func Open(t *testing.T, root string, changes map[string]string) *Shop {
	t.Helper()
	s := &Shop{Provider: sandboxtest.Start(t), S3: NewGate(t, Before(t, labels["AWS_ENDPOINT_URL_S3"])), Mailbox: startMailbox(t)}
	environment := maps.Clone(labels)
	maps.Copy(environment, s.Provider.Environment())
	maps.Copy(environment, map[string]string{
		"AWS_ENDPOINT_URL_S3": s.S3.URL, "SENDGRID_HOST": s.Mailbox, "SENDGRID_API_KEY": key,
		"RECOVER_AFTER": "200ms", "RECOVER_UNHANDLED_AFTER": "5s",
	})
	maps.Copy(environment, changes)
	s.Pipeline = Start(t, Options{Root: root, Environment: environment})
	if err := demo.Seed(t.Context(), s.Pool); err != nil {
		t.Fatal(err)
	}
	return s
}

func startMailbox(t *testing.T) string {
	t.Helper()
	box, err := mailbox.New(mailbox.Options{Dir: t.TempDir(), Key: key, Faults: true})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(box)
	t.Cleanup(func() {
		server.Close()
		if err := box.Close(); err != nil {
			t.Error(err)
		}
	})
	return server.URL
}

// Stock says how many of an article there are.
func (s *Shop) Stock(t *testing.T, sku string, units int) {
	t.Helper()
	s.Exec(t, `update stock set opening = $2, on_hand = $2
		from (select set_config('orderflow.reason', 'a test wants so many', true)) as why where sku = $1`, sku, units)
}

// WantStock holds the books of an article.
func (s *Shop) WantStock(t *testing.T, sku string, onHand, reserved, shipped int) {
	t.Helper()
	want := fmt.Sprintf("%d on hand, %d reserved, %d shipped", onHand, reserved, shipped)
	got := s.Ask(t, `select format('%s on hand, %s reserved, %s shipped', on_hand, reserved, shipped) from stock where sku = $1`, sku)
	if got != want {
		t.Errorf("of %s there are %s, want %s", sku, got, want)
	}
}

// AwaitPayment waits until the provider says that of an order's money.
func (s *Shop) AwaitPayment(t *testing.T, order Order, state payment.State) {
	t.Helper()
	localtest.Eventually(t, "the payment is "+string(state), patience, func() bool {
		found, err := s.Provider.Find(t.Context(), order.ID.String())
		return err == nil && found.State == state
	})
}

// Mails counts an order's mails by what they tell of.
func (s *Shop) Mails(t *testing.T, order Order) map[string]int {
	t.Helper()
	response, err := http.Get(s.Mailbox + "/api/messages?order=" + order.ID.String())
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var list struct {
		Messages []mailbox.Message `json:"messages"`
	}
	if err := json.NewDecoder(response.Body).Decode(&list); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, message := range list.Messages {
		counts[message.CustomArgs["change"]]++
	}
	return counts
}

// AwaitMail waits for the one mail of a change.
func (s *Shop) AwaitMail(t *testing.T, order Order, change string) {
	t.Helper()
	localtest.Eventually(t, "a mail tells of "+change, patience, func() bool { return s.Mails(t, order)[change] == 1 })
}
