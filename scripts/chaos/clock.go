package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A Go program asks the kernel for the time without a library in between that could
// be exchanged. So the functions of a storm are built with a copy of Go's package
// time in which Now adds an offset; the product has no hook for it. The copy is made
// of the Go that is there, and is never kept.

//go:embed skew.go.txt
var skewSource string

// How Now asks for the time, and what the copy does about it.
const (
	askedTime  = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	skewedTime = askedTime + "\tsec += skew.Load()\n"
)

// skewable replaces files of Go's package time.
func skewable(ctx context.Context) (replacements, error) {
	printed, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("find Go: %w", reason(err))
	}
	folder := filepath.Join(strings.TrimSpace(string(printed)), "src", "time")
	patched, err := replaceOnce(filepath.Join(folder, "time.go"), askedTime, skewedTime)
	if err != nil {
		return nil, err
	}
	return replacements{
		filepath.Join(folder, "time.go"):    patched,
		filepath.Join(folder, "zz_skew.go"): skewSource,
	}, nil
}

// replacements are the contents that a build sees in place of files.
type replacements map[string]string

// replaceOnce is a file with one text replaced, which must be in it exactly once: a
// build that isn't changed as it was meant would prove nothing.
func replaceOnce(path, old, replacement string) (string, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("patch: %w", err)
	}
	return replaceIn(path, string(content), old, replacement)
}

func replaceIn(path, content, old, replacement string) (string, error) {
	if found := strings.Count(content, old); found != 1 {
		return "", fmt.Errorf("patch %s: what is to be replaced is there %d times, want once: %q", path, found, old)
	}
	return strings.Replace(content, old, replacement, 1), nil
}

// build builds one of the system's programs with files replaced.
func (s *system) build(ctx context.Context, replaced replacements, program, to string, flags ...string) error {
	folder, err := os.MkdirTemp(s.dir, "build-")
	if err != nil {
		return fmt.Errorf("build %s: %w", program, err)
	}
	defer os.RemoveAll(folder) //nolint:errcheck // it is in a folder that goes too
	var overlay struct {
		Replace map[string]string `json:"Replace"`
	}
	overlay.Replace = map[string]string{}
	for path, content := range replaced {
		file := filepath.Join(folder, strconv.Itoa(len(overlay.Replace))+"-"+filepath.Base(path))
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			return fmt.Errorf("build %s: %w", program, err)
		}
		overlay.Replace[path] = file
	}
	text, err := json.Marshal(overlay)
	if err != nil {
		return fmt.Errorf("build %s: %w", program, err)
	}
	list := filepath.Join(folder, "overlay.json")
	if err := os.WriteFile(list, text, 0o600); err != nil {
		return fmt.Errorf("build %s: %w", program, err)
	}
	args := append([]string{"build", "-overlay", list, "-o", to}, flags...)
	command := exec.CommandContext(ctx, "go", append(args, "./infra/local/cmd/"+program)...)
	command.Dir = s.options.Root
	if out, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", program, err, out)
	}
	return nil
}

// clockFile is where a function looks for how wrong its clock is.
func (s *system) clockFile(function string) string {
	return filepath.Join(s.bin("function.clock"), s.address(function))
}

// mostSkew is how wrong a clock gets; signatures of S3 are valid for fifteen minutes.
const mostSkew = 10 * time.Minute

// turnClock sets a function's clock wrong, lets it jump, and leaves it wrong.
func (s *chaos) turnClock(ctx context.Context, f fault) (int, error) {
	if err := os.MkdirAll(s.system.bin("function.clock"), 0o755); err != nil { //nolint:gosec // functions read it
		return 0, fmt.Errorf("set clock: %w", err)
	}
	random := rand.New(rand.NewPCG(f.Number, 1)) //nolint:gosec // to be had again
	jumps := 0
	for range 3 {
		seconds := random.IntN(2*int(mostSkew.Seconds())+1) - int(mostSkew.Seconds())
		path := s.system.clockFile(f.Target)
		if err := os.WriteFile(path+".new", []byte(strconv.Itoa(seconds)), 0o644); err != nil { //nolint:gosec // functions read it
			return jumps, fmt.Errorf("set clock: %w", err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			return jumps, fmt.Errorf("set clock: %w", err)
		}
		jumps++
		if !pause(ctx, f.For/3) {
			break
		}
	}
	return jumps, nil
}
