package supervisor

import (
	"context"
	"runtime"
)

// Run runs a process once and returns when it has ended, by itself or because
// ctx has. What it leaves in its process group ends with it.
func (s *Supervisor) Run(ctx context.Context, process Process) error {
	c, err := newChild(process, s.options)
	if err != nil {
		return err
	}
	defer c.log.Close() //nolint:errcheck // a log that fails is no reason for anything
	ended := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // as keep does
		defer close(c.gone)
		cmd, err := c.start()
		if err == nil {
			err = c.wait(cmd)
		}
		ended <- err
	}()
	stop := context.AfterFunc(ctx, func() { c.stop(context.WithoutCancel(ctx)) })
	defer stop()
	return <-ended
}
