package local_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/orderflow-project/orderflow/infra/local"
	"github.com/orderflow-project/orderflow/infra/local/localtest"
)

func options() local.Options { return local.Options{Root: root, Bin: bin()} }

// pid reads what the supervisor wrote; 0 where there is none.
func pid(state, name string) int {
	content, err := os.ReadFile(filepath.Join(state, "run", name+".pid"))
	if err != nil {
		return 0
	}
	number, _ := strconv.Atoi(strings.TrimSpace(string(content)))
	return number
}

func alive(pid int) bool { return pid > 0 && syscall.Kill(pid, 0) == nil }

func healthy(url string) bool {
	response, err := http.Get(url) //nolint:noctx // loopback
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// environment asks a stand-in for what it was started with.
func environment(t *testing.T, system *local.System, function string) []string {
	t.Helper()
	response, err := http.Get(system.Addresses().URL(function) + "/environment") //nolint:noctx // loopback
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var variables []string
	if err := json.NewDecoder(response.Body).Decode(&variables); err != nil {
		t.Fatal(err)
	}
	return variables
}

func TestFunctionsGetTheirEnvironmentAndNothingElse(t *testing.T) {
	t.Parallel()
	system := localtest.Start(t, options())
	at, secrets := system.Addresses(), system.Secrets()
	want := []string{
		"DATABASE_IAM_REGION=",
		"DATABASE_MAX_CONNS=10",
		"DATABASE_ROOT_CERTS=",
		"DATABASE_URL=" + system.DatabaseURL(),
		"K_CE_OVERRIDES=",
		"K_SINK=" + at.URL("kafka-sink") + "/orderflow/payment-verified",
		"LISTEN_ADDRESS=" + at.Host("payment-verification"),
		"LOG_FORMAT=json",
		"OTEL_EXPORTER_OTLP_ENDPOINT=",
		"PAYMENT_PROVIDER=sandbox",
		"PAYMENT_PROVIDER_KEY=" + secrets["PAYMENT_PROVIDER_KEY"],
		"PAYMENT_PROVIDER_URL=" + at.URL("payment-provider"),
		"TZ=UTC",
	}
	got := environment(t, system, "payment-verification")
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment of payment-verification (-want +got):\n%s", diff)
	}
	for _, variable := range environment(t, system, "order-analytics") {
		if strings.HasPrefix(variable, "K_SINK=") {
			t.Errorf("order-analytics sends nothing, but has %s", variable)
		}
	}
}

func TestEveryProcessComesBack(t *testing.T) {
	t.Parallel()
	o := localtest.Options(t, options())
	system := localtest.Start(t, o)
	before := map[string]int{}
	for _, name := range system.Processes() {
		before[name] = pid(o.State, name)
		if !alive(before[name]) {
			t.Errorf("%s: the pid file leads to no process", name)
		}
		if err := system.Kill(name); err != nil {
			t.Fatal(err)
		}
	}
	for name, old := range before {
		localtest.Eventually(t, name+" comes back", 15*time.Second, func() bool {
			now := pid(o.State, name)
			return now != old && alive(now)
		})
	}
	localtest.Eventually(t, "storefront answers", 10*time.Second, func() bool {
		return healthy(system.Addresses().URL("storefront") + "/health/readiness")
	})
	localtest.Eventually(t, "postgres answers", 15*time.Second, func() bool {
		conn, err := pgx.Connect(t.Context(), system.DatabaseURL())
		if err != nil {
			return false
		}
		var products int
		err = conn.QueryRow(t.Context(), "select count(*) from products").Scan(&products)
		_ = conn.Close(t.Context())
		return err == nil && products > 0
	})
}

// cancelOrder sends an event into the system, as a function would.
func cancelOrder(t *testing.T, system *local.System) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost,
		system.Addresses().URL("kafka-sink")+"/orderflow/order-cancelled", strings.NewReader(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Ce-Specversion": "1.0", "Ce-Id": "7/order-cancelled", "Ce-Source": "/orderflow/test",
		"Ce-Type": "orderflow.order.cancelled.v1", "Content-Type": "application/json",
	} {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusAccepted {
		t.Fatalf("the sink answers %s, want 202", response.Status)
	}
}

func TestEventsGoThroughTheManifestsWiring(t *testing.T) {
	t.Parallel()
	o := localtest.Options(t, options())
	system := localtest.Start(t, o)
	cancelOrder(t, system)
	for _, reader := range []string{"order-cancellation", "customer-notification", "order-analytics"} {
		localtest.Eventually(t, reader+" gets the event", 15*time.Second, func() bool {
			log, _ := os.ReadFile(filepath.Join(o.State, "logs", reader+".log"))
			return strings.Contains(string(log), reader+" got orderflow.order.cancelled.v1 7/order-cancelled")
		})
	}
}

func TestStopLeavesNothing(t *testing.T) {
	t.Parallel()
	o := localtest.Options(t, options())
	system := localtest.Start(t, o)
	var pids []int
	for _, name := range system.Processes() {
		pids = append(pids, pid(o.State, name))
	}
	began := time.Now()
	system.Stop()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the stop took %s", took)
	}
	for _, pid := range pids {
		if alive(pid) {
			t.Errorf("process %d is still there", pid)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(o.State, "run", "*.pid")); len(left) > 0 {
		t.Errorf("pid files are left: %v", left)
	}
	assertFree(t, system.Addresses())

	again := localtest.Start(t, o) // with the same ports and data
	if again.Secrets()["ORDER_TOKEN_KEY"] != system.Secrets()["ORDER_TOKEN_KEY"] {
		t.Error("the second start has other secrets")
	}
}

func assertFree(t *testing.T, addresses local.Addresses) {
	t.Helper()
	for name := range addresses {
		listener, err := net.Listen("tcp", addresses.Host(name))
		if err != nil {
			t.Errorf("port of %s: %v", name, err)
			continue
		}
		listener.Close()
	}
}

// A supervisor that is killed can't stop anything: the kernel must.
func TestKilledSupervisorLeavesNothing(t *testing.T) {
	t.Parallel()
	o := localtest.Options(t, options())
	cmd := command(t, o)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	localtest.Eventually(t, "the system is up", time.Minute, func() bool { return exists(filepath.Join(o.State, "environment")) })
	names, _ := filepath.Glob(filepath.Join(o.State, "run", "*.pid"))
	var pids []int
	for _, path := range names {
		pids = append(pids, pid(o.State, strings.TrimSuffix(filepath.Base(path), ".pid")))
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says that it was killed
	if text, err := local.Environment(o); err == nil {
		t.Errorf("a system that was killed is still found: %s", text)
	}
	for _, pid := range pids {
		localtest.Eventually(t, "process "+strconv.Itoa(pid)+" ends", 5*time.Second, func() bool { return !alive(pid) })
	}
	localtest.Start(t, o) // right away, over what was left
}

// A system whose folder is taken away stops and says so: another could start in
// the same place, and nothing it takes would be kept.
func TestStopsWhenItsFolderIsGone(t *testing.T) {
	t.Parallel()
	o := localtest.Options(t, options())
	cmd := command(t, o)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	environment := filepath.Join(o.State, "environment")
	localtest.Eventually(t, "the system is up", time.Minute, func() bool { return exists(environment) })
	if err := os.Rename(o.State, o.State+".away"); err != nil {
		t.Fatal(err)
	}
	other := []byte("of the system that started here since")
	if err := errors.Join(os.Mkdir(o.State, 0o755), os.WriteFile(environment, other, 0o600)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("the command succeeds")
		}
	case <-time.After(30 * time.Second):
		_ = cmd.Process.Kill()
		t.Fatal("the system goes on")
	}
	assertRefusal(t, stderr.String(), []string{o.State, "removed or replaced"})
	if got, err := os.ReadFile(environment); string(got) != string(other) {
		t.Errorf("another system's file is now %q, %v", got, err)
	}
	if err := os.RemoveAll(o.State); err != nil { // for the test's own reset, to which it is foreign
		t.Fatal(err)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// command runs the system as make run does.
func command(t *testing.T, o local.Options, extra ...string) *exec.Cmd {
	t.Helper()
	args := []string{"run", "--root", root, "--state", o.State, "--port-offset", strconv.Itoa(o.PortOffset), "--quiet"}
	cmd := exec.Command(filepath.Join(bin(), "orderflow"), append(args, extra...)...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	return cmd
}

// Whoever has a database and a Kafka gets no other.
func TestOwnDatabaseAndKafka(t *testing.T) {
	t.Parallel()
	theirs := localtest.Start(t, options())
	o := options()
	o.DatabaseURL, o.KafkaBrokers = theirs.DatabaseURL(), []string{theirs.Brokers()}
	ours := localtest.Start(t, o)
	for _, name := range []string{"postgres", "broker"} {
		if slices.Contains(ours.Processes(), name) {
			t.Errorf("%s is started although there is one", name)
		}
	}
	got := environment(t, ours, "storefront")
	if want := "DATABASE_URL=" + theirs.DatabaseURL(); !slices.Contains(got, want) {
		t.Errorf("the storefront isn't given the database: %q", got)
	}
	assertRefusalOfPartialURL(t, theirs)
	assertNoPasswordShown(t, theirs)
}

// assertRefusalOfPartialURL has a DATABASE_URL that is whole only with what
// functions don't get.
func assertRefusalOfPartialURL(t *testing.T, theirs *local.System) {
	t.Helper()
	whole, err := url.Parse(theirs.DatabaseURL())
	if err != nil {
		t.Fatal(err)
	}
	password, _ := whole.User.Password()
	home := t.TempDir()
	line := strings.Join([]string{"*:*:*:*", password}, ":")
	if err := os.WriteFile(filepath.Join(home, ".pgpass"), []byte(line+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, variable := range map[string]string{"PGPASSWORD": "PGPASSWORD=" + password, ".pgpass": "HOME=" + home} {
		o := localtest.Options(t, options())
		cmd := command(t, o, "--database-url", strings.Replace(whole.String(), ":"+password+"@", "@", 1))
		cmd.Env = append(cmd.Env, variable)
		assertRefusal(t, refusalOf(t, cmd), []string{"DATABASE_URL", "password", "functions get no " + name})
	}
}

// assertNoPasswordShown starts a system on a database of the user's, who may show
// the screen to others.
func assertNoPasswordShown(t *testing.T, theirs *local.System) {
	t.Helper()
	o := options()
	o.DatabaseURL = theirs.DatabaseURL()
	shown := localtest.Start(t, o).ShownDatabase()
	host := theirs.Addresses().Host("postgres")
	if want := "postgres://orderflow@" + host + "/orderflow"; shown != want {
		t.Errorf("the database is shown as %s, want %s", shown, want)
	}
}

func TestOtherProgramsFindTheSystem(t *testing.T) {
	t.Parallel()
	o := localtest.Options(t, options())
	system := localtest.Start(t, o)
	text, err := local.Environment(o)
	if err != nil || !strings.Contains(text, "DATABASE_URL='"+system.DatabaseURL()+"'\n") {
		t.Errorf("Environment() = %q, %v, want the database", text, err)
	}
	if info, err := os.Stat(filepath.Join(o.State, "environment")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file with the secrets has mode %v, %v, want 0600", info.Mode(), err)
	}
	system.Stop()
	if _, err := local.Environment(o); err == nil {
		t.Error("a system that has stopped is still found")
	}
}

func TestResetRemovesWhatIsOurs(t *testing.T) {
	t.Parallel()
	o := localtest.Options(t, options())
	localtest.Start(t, o).Stop()
	foreign := filepath.Join(o.State, "holiday.jpg")
	if err := os.WriteFile(foreign, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := local.Reset(o); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(o.State, "[^.]*"))
	if err != nil || len(left) != 1 || filepath.Base(left[0]) != "holiday.jpg" {
		t.Errorf("left are %v, %v, want what isn't ours", left, err)
	}
	if err := os.Remove(foreign); err != nil {
		t.Fatal(err)
	}
	if err := local.Reset(o); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(o.State); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
}

// A folder that isn't ours is neither filled nor emptied, whatever the names in it.
func TestForeignFolderIsLeftAlone(t *testing.T) {
	t.Parallel()
	o := localtest.Options(t, options())
	for _, name := range []string{"logs", "secrets", "postgres"} {
		if err := os.MkdirAll(filepath.Join(o.State, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := local.Reset(o); err == nil || !strings.Contains(err.Error(), "not Orderflow's") {
		t.Errorf("Reset() = %v, want that it isn't ours", err)
	}
	assertRefusal(t, refusal(t, o, nil), []string{"not Orderflow's", "nothing was touched", "--state"})
	if left, err := os.ReadDir(o.State); err != nil || len(left) != 3 {
		t.Errorf("there are %v, %v, want what was there", left, err)
	}
	if err := os.RemoveAll(o.State); err != nil { // for the test's own reset, which must refuse too
		t.Fatal(err)
	}
}

// A Kafka that can't read what it has kept says so, and not that nobody listens.
func TestDamagedKafka(t *testing.T) {
	t.Parallel()
	o := localtest.Options(t, options())
	localtest.Start(t, o).Stop()
	damaged := 0
	err := filepath.WalkDir(filepath.Join(o.State, "kafka", "log"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		damaged++
		return os.WriteFile(path, []byte("\x00\x01 damaged \xff"), 0o600)
	})
	if err != nil || damaged == 0 {
		t.Fatalf("%d files damaged: %v", damaged, err)
	}
	assertRefusal(t, refusal(t, o, nil), []string{"broker", "ends again", "logs/broker.log", filepath.Join(o.State, "kafka"), "remove the folder"})
	if err := os.RemoveAll(filepath.Join(o.State, "kafka")); err != nil {
		t.Fatal(err)
	}
	localtest.Start(t, o)
}

// What has lost its secrets says so at once, and not that Postgres is slow.
func TestLostSecrets(t *testing.T) {
	t.Parallel()
	o := localtest.Options(t, options())
	localtest.Start(t, o).Stop()
	path := filepath.Join(o.State, "secrets")
	kept, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		content string
		want    []string
	}{
		"empty":     {"", []string{"has lost the password", "make reset"}},
		"damaged":   {"\x00\x00\x00", []string{"damaged (line 1)", "make reset"}},
		"exchanged": {"POSTGRES_PASSWORD=another\n", []string{"does not have the password", "make reset"}},
	} {
		if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Log(name)
		assertRefusal(t, refusal(t, o, nil), test.want)
	}
	if err := os.WriteFile(path, kept, 0o600); err != nil {
		t.Fatal(err)
	}
	localtest.Start(t, o).Stop()
}
