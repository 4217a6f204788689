package postgres

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// Owner is who runs the server. Postgres refuses to run as root, so root lends
// it another user.
type Owner struct {
	UID, GID int
	// Lent says that this is not the user we are.
	Lent bool
}

// ServerOwner picks the user: ourselves, or if we are root, postgres or nobody.
func ServerOwner() (Owner, error) {
	if os.Geteuid() != 0 {
		return Owner{UID: os.Geteuid(), GID: os.Getegid()}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.Atoi(found.Uid)
		gid, errGID := strconv.Atoi(found.Gid)
		return Owner{UID: uid, GID: gid, Lent: true}, errors.Join(errUID, errGID)
	}
	return Owner{}, errors.New("PostgreSQL does not run as root, and this machine has neither a user postgres nor nobody")
}

// Credential is what the process is started with; nil to stay who we are.
func (o Owner) Credential() *syscall.Credential {
	if !o.Lent {
		return nil
	}
	return &syscall.Credential{Uid: uint32(o.UID), Gid: uint32(o.GID)}
}

// CanEnter tells whether the owner can reach dir: every folder above must let
// it pass, which a home folder with mode 0700 does not.
func (o Owner) CanEnter(dir string) bool {
	if !o.Lent {
		return true
	}
	for {
		info, err := os.Stat(dir)
		if err == nil && !o.mayPass(info) {
			return false
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return true
		}
		dir = parent
	}
}

func (o Owner) mayPass(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return true
	}
	switch {
	case int(stat.Uid) == o.UID:
		return info.Mode()&0o100 != 0
	case int(stat.Gid) == o.GID:
		return info.Mode()&0o010 != 0
	default:
		return info.Mode()&0o001 != 0
	}
}

// AboveMode is for folders above the server's: for nobody else, but where root
// lends the server a user, that one must pass.
func AboveMode() os.FileMode {
	if os.Geteuid() == 0 {
		return 0o711
	}
	return 0o750
}

// Own makes dir, for the owner alone.
func (o Owner) Own(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), AboveMode()); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make folder: %w", err)
	}
	if !o.Lent {
		return nil
	}
	if err := os.Lchown(dir, o.UID, o.GID); err != nil {
		return fmt.Errorf("give folder to the user of postgres: %w", err)
	}
	return nil
}

// CheckData says why the owner can't run a server on the cluster in dir: Postgres
// wants its data to be of the user who runs it.
func (o Owner) CheckData(dir string) error {
	info, err := os.Lstat(dir)
	if errors.Is(err, os.ErrNotExist) {
		return errors.New("the folder is gone")
	}
	if err != nil {
		return fmt.Errorf("look at postgres folder: %w", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || !ok {
		return errors.New("it is no folder")
	}
	if uid := int(stat.Uid); uid != o.UID {
		return fmt.Errorf("they belong to %s, and PostgreSQL would run as %s", userName(uid), userName(o.UID))
	}
	if !o.CanEnter(dir) {
		return fmt.Errorf("PostgreSQL would run as %s, who can't enter the folders above", userName(o.UID))
	}
	return nil
}

func userName(uid int) string {
	if found, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return "user " + found.Username
	}
	return "user " + strconv.Itoa(uid)
}

// Owns tells whether dir is a folder, not a link to one, of the owner's or ours.
func (o Owner) Owns(dir string) bool {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && (int(stat.Uid) == o.UID || int(stat.Uid) == os.Geteuid())
}
