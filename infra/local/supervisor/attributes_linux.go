package supervisor

import "syscall"

// attributes give the process a group of its own, so that Ctrl-C at the
// terminal reaches only the supervisor, and tie its life to the supervisor's.
func attributes(p Process) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: p.DeathSignal, Credential: p.User}
}
