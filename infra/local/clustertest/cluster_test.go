package clustertest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestCluster tells one story, in which each chapter needs those before it.
func TestCluster(t *testing.T) {
	w := newWorld(t)
	for _, chapter := range []struct {
		name string
		tell func(*testing.T, *world)
	}{
		{"webhooks take every overlay", takesOverlays},
		{"deploy says which secrets are missing", missesSecrets},
		{"deploy brings everything", deploys},
		{"orders are shipped", ships},
		{"functions wake from zero", wakes},
		{"pods are killed while orders flow", killsPods},
		{"a function is upgraded and rolled back while orders flow", upgrades},
		{"everything is removed and deployed again", redeploys},
	} {
		if !t.Run(chapter.name, func(t *testing.T) { chapter.tell(t, w) }) {
			t.Logf("what is there now:\n%s", kubectl(t, "-n "+namespace+" get ksvc,revisions,pods,jobs,kafkasinks,kafkasources,sinkbindings,pingsources"))
			t.FailNow()
		}
	}
	w.clear(t)
}

// make runs a target of the project's Makefile.
func (w *world) make(t *testing.T, args ...string) (string, error) {
	t.Helper()
	began := time.Now()
	output, err := command(t.Context(), w.environment, "", "make", append([]string{"--no-print-directory"}, args...)...)
	t.Logf("make %s took %.0f s", strings.Join(args, " "), time.Since(began).Seconds())
	return output, err
}

func (w *world) mustMake(t *testing.T, args ...string) string {
	t.Helper()
	output, err := w.make(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + output)
	return output
}

// takesOverlays has Knative's webhooks, and Kubernetes' own validation, look at all
// that the overlays make, without keeping it.
func takesOverlays(t *testing.T, w *world) {
	kubectl(t, "create namespace "+namespace)
	for _, name := range []string{"dev", "production", "aws"} {
		dir := filepath.Join(w.dir, "try-"+name)
		write(t, filepath.Join(dir, "kustomization.yaml"), fmt.Sprintf("resources: [%[1]s/overlays/%[2]s, %[1]s/migrate]\ncomponents: [%[1]s/components/without-strimzi]\n", relative(t, dir), name))
		manifests := kubectl(t, "kustomize "+dir)
		output := kubectlWith(t, manifests+"\n", "apply", "--server-side", "--dry-run=server", "--filename=-")
		if got, want := strings.Count(output, "(server dry run)"), 1+strings.Count(manifests, "\n---\n"); got != want {
			t.Errorf("%s: %d objects were taken, want %d:\n%s", name, got, want, output)
		}
		t.Logf("%s: %d objects were taken", name, strings.Count(output, "(server dry run)"))
	}
}

func missesSecrets(t *testing.T, w *world) {
	output, err := w.make(t, "deploy")
	if err == nil {
		t.Fatalf("deploy succeeds without secrets:\n%s", output)
	}
	output = err.Error()
	for _, want := range []string{
		"the secret orderflow-postgres lacks DATABASE_URL\n", "the secret orderflow-s3 lacks AWS_SECRET_ACCESS_KEY\n",
		"create secret generic NAME --from-literal=KEY=VALUE, and run this again",
	} {
		if !strings.Contains(output, want) {
			t.Errorf("deploy doesn't say %q:\n%s", want, output)
		}
	}
	w.bring(t)
	w.makeSecrets(t)
}

func deploys(t *testing.T, w *world) {
	before := funcFiles(t)
	w.mustMake(t, "deploy")
	if diff := cmp.Diff(before, funcFiles(t)); diff != "" {
		t.Errorf("deploy has changed func.yaml files (-before +after):\n%s", diff)
	}
	if status := w.mustMake(t, "deploy-status"); !strings.Contains(status, "all ready") {
		t.Error("not all is ready after deploy")
	}
	if url := kubectl(t, "-n "+namespace+" get ksvc storefront -o jsonpath={.status.url}"); url != w.settings["SHOP_URL"] {
		t.Errorf("the storefront is at %s, want %s", url, w.settings["SHOP_URL"])
	}
	// A second one would be a function that was deployed before its binding.
	for _, function := range functions(t) {
		if got := len(revisions(t, function)); got != 1 {
			t.Errorf("%s has %d revisions after the first deploy, want 1", function, got)
		}
	}
}

// funcFiles is the content of every func.yaml.
func funcFiles(t *testing.T) map[string]string {
	t.Helper()
	content := map[string]string{}
	for _, function := range functions(t) {
		text, err := os.ReadFile(root("functions", function, "func.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		content[function] = string(text)
	}
	return content
}

func functions(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob(root("functions", "*", "func.yaml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no functions: %v", err)
	}
	names := make([]string, len(paths))
	for i, path := range paths {
		names[i] = filepath.Base(filepath.Dir(path))
	}
	return names
}

func revisions(t *testing.T, function string) []string {
	t.Helper()
	return strings.Fields(kubectl(t, "-n "+namespace+" get revisions -l serving.knative.dev/service="+function+" -o jsonpath={.items[*].metadata.name}"))
}

// serving is the revision that a function's requests go to.
func serving(t *testing.T, function string) string {
	t.Helper()
	return kubectl(t, "-n "+namespace+" get ksvc "+function+" -o jsonpath={.status.traffic[*].revisionName}")
}

func ships(t *testing.T, w *world) {
	w.mustSimulate(t, "--orders=200", "--rate=10")
	w.audit(t)
	if shipped := ask[int](t, w, `select count(*) from orders where status = 'shipped'`); shipped == 0 {
		t.Error("no order was shipped")
	}
}

// simulate places orders by the storefront's public name, and follows them to their end.
func (w *world) simulate(ctx context.Context, args ...string) (string, error) {
	return command(ctx, w.variables(), "", bin("simulate"), args...)
}

func (w *world) mustSimulate(t *testing.T, args ...string) {
	t.Helper()
	output, err := w.simulate(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(output)
}

// audit must find nothing wrong, and no event that nobody would take.
func (w *world) audit(t *testing.T) {
	t.Helper()
	output, err := command(t.Context(), w.variables(), "", bin("audit"), "--settle=5m")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(output, " 0 open dead letters.") {
		t.Errorf("there are dead letters:\n%s", output)
	}
	lines := strings.Split(strings.TrimSpace(output), "\n")
	t.Log("\n" + strings.Join(lines[max(0, len(lines)-3):], "\n"))
}

// toZero is how long Knative may take to end the last pod of a function that nobody
// calls: it looks at the last minute, and then waits half a one.
const toZero = 5 * time.Minute

// wakes measures cold starts: an order that finds no pod on its way, and an operator
// who opens a page of a function that isn't there.
func wakes(t *testing.T, w *world) {
	way := []string{"payment-verification", "inventory-update", "shipment-preparation"}
	for _, function := range append(way, "backoffice") {
		await(t, toZero, function+" is scaled to zero", func() bool { return len(pods(t, namespace, "serving.knative.dev/service="+function)) == 0 })
	}
	w.mustSimulate(t, "--orders=1", "--declined=0", "--cancelled=0")
	for i, hop := range []struct{ from, to string }{
		{"order-placed", "payment-verified"}, {"payment-verified", "inventory-updated"}, {"inventory-updated", "order-shipped"},
	} {
		took := ask[float64](t, w, fmt.Sprintf(`select extract(epoch from b.occurred_at - a.occurred_at)::float8
			from order_events a join order_events b using (order_id)
			where a.name = '%s' and b.name = '%s' order by a.occurred_at desc limit 1`, hop.from, hop.to))
		t.Logf("%s, from zero: %.2f s from %s to %s", way[i], took, hop.from, hop.to)
	}
	began := time.Now()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://backoffice."+namespace+"."+w.domain+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusInternalServerError {
		t.Errorf("the back office answers %s", response.Status)
	}
	t.Logf("backoffice, from zero: %s after %.2f s", response.Status, time.Since(began).Seconds())
	w.audit(t)
}

// load places six orders a second until it is told to stop.
type load struct {
	w    *world
	stop context.CancelFunc
	done sync.WaitGroup

	mu  sync.Mutex
	err error
}

// startLoad has sixty customers come every ten seconds, whether or not the orders of
// those before them have come to their end.
func (w *world) startLoad(t *testing.T) *load {
	t.Helper()
	enough, stop := context.WithCancel(t.Context())
	l := &load{w: w, stop: stop}
	l.done.Go(func() {
		next := time.NewTicker(10 * time.Second)
		defer next.Stop()
		for seed := 1; ; seed++ {
			l.done.Go(func() {
				_, err := w.simulate(context.WithoutCancel(enough), "--orders=60", "--rate=6", "--wait=10m", "--seed="+strconv.Itoa(seed))
				l.mu.Lock()
				defer l.mu.Unlock()
				l.err = errors.Join(l.err, err)
			})
			select {
			case <-enough.Done():
				return
			case <-next.C:
			}
		}
	})
	return l
}

// failed is what has gone wrong for customers until now.
func (l *load) failed() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// await looks until it is so, for as long as customers come.
func (l *load) await(t *testing.T, limit time.Duration, what string, so func() bool) {
	t.Helper()
	await(t, limit, what, func() bool {
		if err := l.failed(); err != nil {
			t.Fatal(err)
		}
		return so()
	})
}

// end waits until every order has come to its end, none refused.
func (l *load) end(t *testing.T) {
	t.Helper()
	l.stop()
	l.done.Wait()
	if err := l.failed(); err != nil {
		t.Error(err)
	}
	l.w.audit(t)
}

func (w *world) placed(t *testing.T) int {
	t.Helper()
	return ask[int](t, w, `select count(*) from orders`)
}

// kills is how many pods die, one every two seconds.
const kills = 30

func killsPods(t *testing.T, w *world) {
	before := w.placed(t)
	l := w.startLoad(t)
	deaths := map[string]int{}
	for n := range kills {
		// Of ten, eight are a function's, one brings events into Kafka, one out of it.
		place, selector := namespace, "serving.knative.dev/service"
		switch n % 10 {
		case 4:
			place, selector = "knative-eventing", "app=kafka-sink-receiver"
		case 9:
			place, selector = "knative-eventing", "app=kafka-source-dispatcher"
		}
		deaths[kill(t, place, selector)]++
		placed := w.placed(t)
		l.await(t, 2*time.Minute, "more orders are placed", func() bool { return w.placed(t) >= placed+10 })
	}
	l.end(t)
	t.Logf("%d pods were killed while %d orders were placed: %v", kills, w.placed(t)-before, deaths)
}

// kill ends one of the pods without giving it time, and returns whose it was.
func kill(t *testing.T, place, selector string) string {
	t.Helper()
	var victims []string
	await(t, time.Minute, "there is a pod of "+selector, func() bool {
		victims = pods(t, place, selector)
		return len(victims) > 0
	})
	victim := victims[rand.IntN(len(victims))]
	kubectl(t, "-n "+place+" delete pod "+victim+" --grace-period=0 --force --ignore-not-found")
	return regexp.MustCompile(`(-\d{5}-deployment)?(-[0-9a-f]+)?-[0-9a-z]+$`).ReplaceAllString(victim, "")
}

func upgrades(t *testing.T, w *world) {
	for _, function := range []string{"payment-verification", "storefront"} {
		first, before := serving(t, function), w.placed(t)
		l := w.startLoad(t)
		w.mustMake(t, "deploy", "FUNCTION="+function, "TAG=second")
		second := serving(t, function)
		l.takesMore(t)
		w.mustMake(t, "deploy-rollback", "FUNCTION="+function)
		if back := serving(t, function); second == first || back != first {
			t.Errorf("%s: from revision %s by deploy to %s, by rollback to %s", function, first, second, back)
		}
		l.takesMore(t)
		w.mustMake(t, "deploy", "FUNCTION="+function)
		if third := serving(t, function); third == first || third == second {
			t.Errorf("%s: a deploy after the rollback leaves the requests with %s", function, third)
		}
		l.takesMore(t)
		l.end(t)
		t.Logf("%s was upgraded, rolled back and upgraded while %d orders were placed", function, w.placed(t)-before)
	}
}

// takesMore waits until orders have gone all the way that were placed just now.
func (l *load) takesMore(t *testing.T) {
	t.Helper()
	shipped := `select count(*) from orders where status = 'shipped'`
	before := ask[int](t, l.w, shipped)
	l.await(t, 3*time.Minute, "more orders are shipped", func() bool { return ask[int](t, l.w, shipped) >= before+30 })
}

func redeploys(t *testing.T, w *world) {
	w.mustMake(t, "undeploy")
	for _, kinds := range []string{"ksvc", "revisions", "kafkasources,kafkasinks,sinkbindings,pingsources", "jobs", "networkpolicies,serviceaccounts --field-selector=metadata.name!=default"} {
		if left := kubectl(t, "-n "+namespace+" get "+kinds+" --no-headers --ignore-not-found"); left != "" {
			t.Errorf("undeploy leaves %s:\n%s", kinds, left)
		}
	}
	if output, err := w.make(t, "deploy-status"); err == nil {
		t.Errorf("deploy-status finds nothing missing:\n%s", output)
	}
	w.mustMake(t, "deploy")
	w.mustSimulate(t, "--orders=100", "--rate=10", "--seed=99")
	w.audit(t)
	t.Logf("orders in all: %d, shipped %d", w.placed(t), ask[int](t, w, `select count(*) from orders where status = 'shipped'`))
}
