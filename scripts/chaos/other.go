//go:build !linux

package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
)

var errLinux = errors.New("only Linux has it")

func tied() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func ownMounts() bool { return false }

// exitError is what the program ended with that did the work.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("ended with %d", int(e)) }

func inOwnMounts(context.Context, []string) error {
	return fmt.Errorf("make a disk that can be full (%w): --without=%s leaves that fault out", errLinux, kindDisk)
}

func mountDisk(string) error { return errLinux }
func unmountDisk(string)     {}
func fillDisk(string) error  { return errLinux }
func emptyDisk(string) error { return errLinux }
