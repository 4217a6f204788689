//go:build unix && !linux

package supervisor

import "syscall"

// attributes give the process a group of its own, so that Ctrl-C at the
// terminal reaches only the supervisor. Outside Linux nothing ends the
// processes of a supervisor that was killed with SIGKILL.
func attributes(p Process) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: p.User}
}
