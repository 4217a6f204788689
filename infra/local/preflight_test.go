package local_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/orderflow-project/orderflow/infra/local"
	"github.com/orderflow-project/orderflow/infra/local/localtest"
)

// What keeps the system from running is said in one line, before anything runs.
func TestRefusals(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		// spoil makes the machine unfit, and returns further arguments.
		spoil func(t *testing.T, o *local.Options) []string
		want  []string
	}{
		"port taken": {
			spoil: func(t *testing.T, o *local.Options) []string {
				listen(t, 8090+o.PortOffset)
				return nil
			},
			want: []string{"(kafka-sink)", "taken", "--port-offset"},
		},
		"several ports taken": {
			spoil: func(t *testing.T, o *local.Options) []string {
				listen(t, 8080+o.PortOffset)
				listen(t, 9092+o.PortOffset)
				return nil
			},
			want: []string{"(storefront)", "(broker)", "ports", "--port-offset"},
		},
		"state is no folder": {
			spoil: func(t *testing.T, o *local.Options) []string {
				if err := os.WriteFile(o.State, nil, 0o600); err != nil {
					t.Fatal(err)
				}
				return nil
			},
			want: []string{"data folder", "can't be written", "--state"},
		},
		"state can't be made": {
			spoil: func(_ *testing.T, o *local.Options) []string {
				o.State = "/proc/orderflow"
				return nil
			},
			want: []string{"/proc/orderflow", "can't be written", "--state"},
		},
		"no such database": {
			spoil: func(t *testing.T, _ *local.Options) []string {
				return []string{"--database-url", fmt.Sprintf("postgres://me:hush@127.0.0.1:%d/shop", closedPort(t))}
			},
			want: []string{"DATABASE_URL", "user me, database shop", "refused", "unset it"},
		},
		"database is no URL": {
			spoil: func(*testing.T, *local.Options) []string { return []string{"--database-url", "postgres://me:hush@%zz"} },
			want:  []string{"DATABASE_URL", "postgres://user:password@host:5432/database"},
		},
		"no such Kafka": {
			spoil: func(t *testing.T, _ *local.Options) []string {
				return []string{"--kafka-brokers", fmt.Sprintf("127.0.0.1:%d", closedPort(t))}
			},
			want: []string{"KAFKA_BROKERS", "can't be reached", "unset it"},
		},
		"no Postgres": {
			spoil: func(t *testing.T, _ *local.Options) []string { return []string{"--postgres-bin", t.TempDir()} },
			want:  []string{"no PostgreSQL", "install it", "--postgres-bin", "DATABASE_URL"},
		},
		"offset too high": {
			spoil: func(*testing.T, *local.Options) []string { return []string{"--port-offset=70000"} },
			want:  []string{"--port-offset 70000", "not a port", "from -4409 to 56443"},
		},
		"offset too low": {
			spoil: func(*testing.T, *local.Options) []string { return []string{"--port-offset=-8000"} },
			want:  []string{"--port-offset -8000", "not a port"},
		},
		"no such setting": {
			spoil: func(*testing.T, *local.Options) []string { return []string{"--set", "RATE_LIMTI=60"} },
			want:  []string{"RATE_LIMTI", "RATE_LIMIT"},
		},
		"S3 without credentials": {
			spoil: func(*testing.T, *local.Options) []string { return []string{"--s3-endpoint", "http://127.0.0.1:1"} },
			want:  []string{"AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := localtest.Options(t, options())
			extra := test.spoil(t, &o)
			assertRefusal(t, refusal(t, o, extra), test.want)
			if left, _ := filepath.Glob(filepath.Join(o.State, "logs", "*")); len(left) > 0 {
				t.Errorf("processes were started: %v", left)
			}
		})
	}
}

func TestSecondSystemIsRefused(t *testing.T) {
	t.Parallel()
	o := localtest.Options(t, options())
	localtest.Start(t, o)
	o.PortOffset = localtest.PortOffset(t)
	assertRefusal(t, refusal(t, o, nil), []string{"running already", fmt.Sprint(os.Getpid()), "--state"})
}

// refusal runs the command, which must fail, and returns what it writes.
func refusal(t *testing.T, o local.Options, extra []string) string {
	t.Helper()
	return refusalOf(t, command(t, o, extra...))
}

func refusalOf(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err == nil {
		t.Fatal("the command succeeds")
	}
	return stderr.String()
}

func assertRefusal(t *testing.T, text string, want []string) {
	t.Helper()
	if strings.Count(text, "\n") != 1 {
		t.Errorf("want one line, got:\n%s", text)
	}
	for _, part := range want {
		if !strings.Contains(text, part) {
			t.Errorf("%q doesn't say %q", strings.TrimSpace(text), part)
		}
	}
	if strings.Contains(text, "hush") {
		t.Errorf("%q gives the password away", text)
	}
}

func listen(t *testing.T, port int) {
	t.Helper()
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
}

// closedPort is one that nobody listens on.
func closedPort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}
