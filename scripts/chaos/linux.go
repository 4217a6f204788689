//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// tied has the kernel stop the system when we are gone.
func tied() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

// ownMountsMark tells the program that it was started with mounts of its own.
const ownMountsMark = "ORDERFLOW_CHAOS_OWN_MOUNTS"

func ownMounts() bool { return os.Getenv(ownMountsMark) != "" }

// exitError is what the program ended with that did the work.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("ended with %d", int(e)) }

// inOwnMounts runs the program again with mounts of its own, which go with it: a
// disk that can be made full is made for it, and nobody else sees it. Who isn't root
// gets the right to it in a user namespace, where the machine allows that.
func inOwnMounts(ctx context.Context, args []string) error {
	command := exec.CommandContext(ctx, "/proc/self/exe", args...) //nolint:gosec // it is this program, with its own arguments
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.Env = append(os.Environ(), ownMountsMark+"=1")
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Unshareflags: syscall.CLONE_NEWNS}
	if user := os.Getuid(); user != 0 {
		const capSysAdmin = 21
		command.SysProcAttr = &syscall.SysProcAttr{
			Pdeathsig: syscall.SIGTERM, Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: user, HostID: user, Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}},
			AmbientCaps: []uintptr{capSysAdmin},
		}
	}
	if err := command.Run(); err != nil {
		if exit, is := err.(*exec.ExitError); is && exit.Exited() { //nolint:errorlint // Run returns it bare
			return exitError(exit.ExitCode())
		}
		return noOwnDisk(err)
	}
	return nil
}

func noOwnDisk(err error) error {
	return fmt.Errorf("make a disk that can be full (%w): it takes root or a user namespace with mounts; --without=%s leaves that fault out", err, kindDisk)
}

// diskSize is more than any storm needs; a tmpfs takes only what is in it.
const diskSize = "16g"

// mountDisk gives the state folder a disk of its own.
func mountDisk(dir string) error {
	if err := syscall.Mount("orderflow-chaos", dir, "tmpfs", 0, "mode=0755,size="+diskSize); err != nil {
		return noOwnDisk(err)
	}
	return nil
}

// unmountDisk takes it away again, with what is in it.
func unmountDisk(dir string) { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }

// fillDisk leaves no room on the disk; a few pages may still fit in files that are there.
func fillDisk(dir string) error {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		return fmt.Errorf("look at the disk: %w", err)
	}
	used := (disk.Blocks - disk.Bfree) * uint64(disk.Bsize) //nolint:gosec // a block has a size
	return resizeDisk(dir, fmt.Sprint(used))
}

// emptyDisk makes room again.
func emptyDisk(dir string) error { return resizeDisk(dir, diskSize) }

func resizeDisk(dir, size string) error {
	if err := syscall.Mount("orderflow-chaos", dir, "tmpfs", syscall.MS_REMOUNT, "mode=0755,size="+size); err != nil {
		return fmt.Errorf("resize the disk: %w", err)
	}
	return nil
}
