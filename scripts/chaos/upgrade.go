package main

import (
	"context"
	"fmt"
	"path/filepath"
	"syscall"
	"time"
)

// prepareUpgrade makes the program of release N+1.
func (s *chaos) prepareUpgrade(ctx context.Context, replaced replacements) error {
	if err := copyProgram(s.system.bin("function"), s.system.bin("function-n")); err != nil {
		return err
	}
	next := s.system.bin("function-next")
	if s.options.Other != "" {
		return copyProgram(filepath.Join(s.options.Other, "function"), next)
	}
	// Another build of the same: its id differs, and what it does must not.
	return s.system.build(ctx, replaced, "function", next, "-ldflags=-X main.release=next")
}

// upgradeLimit is how long a function may take to be back with the other program,
// killed and cut off meanwhile.
const upgradeLimit = 45 * time.Second

// upgrade rolls one function after the other from N to N+1, and back.
func (s *chaos) upgrade(ctx context.Context) (rolled int, err error) {
	for _, program := range []string{"function-next", "function-n"} {
		if err := copyProgram(s.system.bin(program), s.system.bin("function")); err != nil {
			return rolled, err
		}
		for _, function := range s.system.functions {
			pid := s.system.pid(function)
			if pid != 0 {
				_ = syscall.Kill(pid, syscall.SIGTERM)
			}
			err := eventually(ctx, upgradeLimit, func() bool {
				now := s.system.pid(function)
				return now != 0 && now != pid && s.system.up(ctx, function)
			})
			if ctx.Err() != nil {
				return rolled, ctx.Err()
			}
			if err != nil {
				s.tally.note(s.stuck(program, function, pid))
				continue
			}
			rolled++
		}
	}
	return rolled, nil
}

// stuck says what a function that isn't back with the other program does. One that
// hasn't ended is made to write down where it stands, and ends by that.
func (s *chaos) stuck(program, function string, pid int) string {
	if now := s.system.pid(function); now != pid || pid == 0 {
		return fmt.Sprintf("upgrade to %s: %s doesn't get ready within %s", program, function, upgradeLimit)
	}
	_ = syscall.Kill(pid, syscall.SIGQUIT)
	return fmt.Sprintf("upgrade to %s: %s doesn't end within %s of SIGTERM: its log says where it stands", program, function, upgradeLimit)
}
