package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderflow-project/orderflow/infra/local"
	"github.com/orderflow-project/orderflow/infra/local/apachekafka"
	"github.com/orderflow-project/orderflow/infra/local/localtest"
	"github.com/orderflow-project/orderflow/shared/orderstory"
)

// system is the whole system in a folder and at ports of its own. It can be
// started and stopped any number of times.
type system struct {
	state  string
	offset int
	args   []string
	kafka  *apachekafka.Broker // nil for the embedded one

	cmd    *exec.Cmd
	ended  chan error // gets how the command ended
	output *output
	env    map[string]string
}

// output keeps what the command writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// newSystem makes a system that isn't running yet. The arguments are those of
// orderflow run. With KAFKA_JARS set it uses an Apache Kafka of its own.
func newSystem(t *testing.T, args ...string) *system {
	t.Helper()
	options := localtest.Options(t, local.Options{Root: root, Bin: bin("")})
	s := &system{state: options.State, offset: options.PortOffset, args: args, output: &output{}}
	if jars := os.Getenv("KAFKA_JARS"); jars != "" {
		s.kafka = apachekafka.Start(t, jars)
	}
	t.Cleanup(func() { s.end(t) })
	return s
}

// startSystem makes a system and starts it.
func startSystem(t *testing.T, args ...string) *system {
	t.Helper()
	s := newSystem(t, args...)
	s.start(t)
	return s
}

// start runs the command and waits until it says that it is ready. It returns
// how long that took.
func (s *system) start(t *testing.T) time.Duration {
	t.Helper()
	began := time.Now()
	s.command("run", append([]string{"--root", root, "--port-offset", strconv.Itoa(s.offset)}, s.args...)...)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.ended = make(chan error, 1)
	go func() { s.ended <- s.cmd.Wait() }()
	localtest.Eventually(t, "the system is ready", 2*time.Minute, func() bool {
		if len(s.ended) > 0 {
			t.Fatalf("the system ends while it starts:\n%s", s.output)
		}
		return strings.Contains(s.output.String(), "Orderflow is ready")
	})
	took := time.Since(began)
	s.env = s.readEnvironment(t)
	return took
}

func (s *system) command(name string, args ...string) {
	s.output = &output{}
	s.cmd = exec.Command(bin("orderflow"), append([]string{name, "--state", s.state}, args...)...)
	s.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	if s.kafka != nil {
		s.cmd.Env = append(s.cmd.Env, "KAFKA_BROKERS="+s.kafka.Brokers)
	}
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.output
}

// readEnvironment asks the command how to reach the system, as make does.
func (s *system) readEnvironment(t *testing.T) map[string]string {
	t.Helper()
	script := fmt.Sprintf(`set -a; eval "$('%s' env --state '%s')"; exec env -0`, bin("orderflow"), s.state)
	cmd := exec.Command("/bin/sh", "-ec", script)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	printed, err := cmd.Output()
	if err != nil {
		t.Fatalf("orderflow env: %v", err)
	}
	env := map[string]string{}
	for line := range strings.SplitSeq(string(printed), "\x00") {
		if name, value, found := strings.Cut(line, "="); found {
			env[name] = value
		}
	}
	return env
}

// stop sends a signal to the command, which must end well and leave nothing,
// and returns how long that took.
func (s *system) stop(t *testing.T, sig os.Signal) time.Duration {
	t.Helper()
	began, processes := time.Now(), s.processes(t)
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-s.ended:
		if err != nil {
			t.Errorf("stopped by %s the command ends with %v:\n%s", sig, err, s.output)
		}
	case <-time.After(15 * time.Second):
		t.Fatalf("%s does not stop the system within 15 s", sig)
	}
	took := time.Since(began)
	for name, pid := range processes {
		if running(pid) {
			t.Errorf("%s is still there", name)
		}
	}
	for _, port := range s.openPorts() {
		t.Errorf("port %d is still open", port)
	}
	s.cmd = nil
	return took
}

// crash kills the command, as a laptop's battery would, and waits until the
// kernel has ended the rest.
func (s *system) crash(t *testing.T) {
	t.Helper()
	processes := s.processes(t)
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-s.ended
	for name, pid := range processes {
		localtest.Eventually(t, name+" dies with the system", 10*time.Second, func() bool { return !running(pid) })
	}
	s.cmd = nil
}

// end stops what a test has left running, and shows the end of the logs if it failed.
func (s *system) end(t *testing.T) {
	t.Helper()
	if s.cmd != nil && len(s.ended) == 0 {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-s.ended:
		case <-time.After(15 * time.Second):
			_ = s.cmd.Process.Kill()
			<-s.ended
		}
	}
	if t.Failed() {
		text := s.output.String()
		t.Logf("the system's last lines:\n%s", text[max(0, len(text)-4000):])
	}
}

// processes lists the pids of what runs now.
func (s *system) processes(t *testing.T) map[string]int {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(s.state, "run", "*.pid"))
	if err != nil {
		t.Fatal(err)
	}
	pids := map[string]int{}
	for _, path := range paths {
		name := strings.TrimSuffix(filepath.Base(path), ".pid")
		if pid := s.pid(name); pid > 0 {
			pids[name] = pid
		}
	}
	return pids
}

// pid is 0 while the process isn't running.
func (s *system) pid(name string) int {
	content, err := os.ReadFile(filepath.Join(s.state, "run", name+".pid"))
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(content)))
	return pid
}

// running tells whether there is such a process; a zombie isn't one.
func running(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

// openPorts lists those of the system's ports that somebody listens on.
func (s *system) openPorts() []int {
	ports := []int{5433, 8025, 8070, 8080, 8081, 8083, 8090, 9000, 9092}
	for port := 8101; port < 8110; port++ {
		ports = append(ports, port)
	}
	var open []int
	for _, port := range ports {
		conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port+s.offset), time.Second)
		if err == nil {
			_ = conn.Close()
			open = append(open, port+s.offset)
		}
	}
	return open
}

// address is where a process listens, from its own environment.
func (s *system) address(t *testing.T, function string) string {
	t.Helper()
	environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", s.pid(function)))
	if err != nil {
		t.Fatal(err)
	}
	for variable := range strings.SplitSeq(string(environment), "\x00") {
		if address, found := strings.CutPrefix(variable, "LISTEN_ADDRESS="); found {
			return address
		}
	}
	t.Fatalf("%s has no LISTEN_ADDRESS", function)
	return ""
}

// database connects to the system's database.
func (s *system) database(t *testing.T) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), s.env["DATABASE_URL"])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// count answers a question whose answer is a number.
func (s *system) count(t *testing.T, sql string, args ...any) int {
	t.Helper()
	var number int
	if err := s.database(t).QueryRow(t.Context(), sql, args...).Scan(&number); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return number
}

// program runs one of the project's programs against the system, and returns
// what it writes.
func (s *system) program(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, bin(name), args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	for key, value := range s.env {
		cmd.Env = append(cmd.Env, key+"="+value)
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		text := stderr.String() // a progress bar, and the reason at its end
		return stdout.String(), errors.Join(err, errors.New(text[max(0, len(text)-300):]))
	}
	return stdout.String(), nil
}

// storiesAtMost is of how many orders the stories are told: of all would take too
// long where a test places many thousands.
const storiesAtMost = 500

// stories proves that of each order every effect has its cause, and that what is
// told is where the order stands.
func (s *system) stories(t *testing.T) {
	t.Helper()
	pool := s.database(t)
	rows, err := pool.Query(t.Context(), `select number, status from orders order by id desc limit $1`, storiesAtMost)
	if err != nil {
		t.Fatal(err)
	}
	type row struct{ Number, Status string }
	orders, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	if err != nil {
		t.Fatal(err)
	}
	effects := 0
	for _, order := range orders {
		story, err := orderstory.Tell(t.Context(), pool, order.Number, time.Time{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		effects += story.Effects
		if story.Effects != story.Explained || story.State.Status != order.Status || len(story.State.Waiting) > 0 {
			t.Errorf("%s is %s, and told as %+v with %d effects, %d of them with a cause: %+v",
				order.Number, order.Status, story.State, story.Effects, story.Explained, story.Steps)
		}
	}
	t.Logf("%d effects of %d orders, each with its cause", effects, len(orders))
}

// audit proves that nothing went wrong.
func (s *system) audit(t *testing.T) {
	t.Helper()
	report, err := s.program(t.Context(), "audit", "--settle=4m")
	if err != nil {
		t.Fatalf("audit: %v\n%s", err, report)
	}
	lines := strings.Split(strings.TrimSpace(report), "\n")
	for _, line := range lines {
		if strings.Contains(line, "mailbox_has_every_mail") {
			t.Log(strings.Join(strings.Fields(line), " "))
		}
	}
	t.Log(strings.Join(lines[len(lines)-2:], " "))
	s.stories(t) // audit has waited until all was at rest
}
