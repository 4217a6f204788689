package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Postgres is taken away in different ways, by turns.
const (
	postgresImmediately = iota // an immediate stop: recovery from the log at the start
	postgresKilled             // the postmaster, whose sessions notice
	backendKilled              // one session dies, for which Postgres ends all others
	backendsTerminated         // sessions are cut by an administrator
	waysOfPostgres
)

// recoveryLimit is when a process that was killed should long be back.
const recoveryLimit = time.Minute

// kill kills a process, and notes how long it takes to be back. A fault that meets
// nobody, since the process is away already, is no hit.
func (s *chaos) kill(ctx context.Context, f fault) int {
	if f.Target == processPostgres && !s.options.KafkaAlone {
		if way := f.Number % waysOfPostgres; way >= backendKilled {
			return s.killBackends(ctx, way)
		}
	}
	signal := syscall.SIGKILL
	if f.Target == processPostgres && f.Number%waysOfPostgres == postgresImmediately {
		signal = syscall.SIGQUIT
	}
	victim := s.system.pid(f.Target)
	if victim == 0 || syscall.Kill(victim, signal) != nil {
		return 0
	}
	s.watchRecovery(ctx, f.Target, victim)
	return 1
}

// watchRecovery measures, beside the storm, how long a process is away.
func (s *chaos) watchRecovery(ctx context.Context, name string, victim int) {
	began := time.Now()
	s.background.Go(func() {
		err := eventually(ctx, recoveryLimit, func() bool {
			return s.system.pid(name) != victim && s.system.up(ctx, name)
		})
		if err == nil {
			s.tally.recovered(name, time.Since(began))
		} else if ctx.Err() == nil {
			s.tally.note(fmt.Sprintf("%s was not back within %s", name, recoveryLimit))
		}
	})
}

// killBackends kills sessions of the database.
func (s *chaos) killBackends(ctx context.Context, way uint64) int {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	db, err := pgx.Connect(ctx, s.system.env["DATABASE_URL"])
	if err != nil {
		return 0
	}
	defer db.Close(context.WithoutCancel(ctx)) //nolint:errcheck // it may be one of those
	const others = `from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'`
	if way == backendsTerminated {
		var number int
		if db.QueryRow(ctx, `select count(*) filter (where pg_terminate_backend(pid)) `+others).Scan(&number) != nil || number == 0 {
			return 0
		}
		return 1
	}
	var pid int
	if db.QueryRow(ctx, `select pid `+others+` order by random() limit 1`).Scan(&pid) != nil {
		return 0
	}
	if syscall.Kill(pid, syscall.SIGKILL) != nil {
		return 0
	}
	return 1
}
