// Package pingsource does on a laptop what Knative's PingSource does: at every
// time that a schedule of five cron fields names, in UTC or the time zone that
// the manifest names, it POSTs a CloudEvent with the manifest's data to a sink.
//
// A ping that fails is not tried again: the next one comes by itself.
package pingsource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/robfig/cron/v3"
)

// Source is a PingSource, its reference resolved to an address.
type Source struct {
	Namespace, Name string
	// Schedule is cron's five fields, "* * * * *" for every minute.
	Schedule string
	// Timezone is what the schedule's times are in, "Europe/Vienna"; UTC if empty.
	Timezone          string
	ContentType, Data string
	// Sink is the URL that pings are POSTed to.
	Sink string
}

// Config is what Run needs.
type Config struct {
	Sources []Source
	Logger  *slog.Logger
	// Now and Wait are the clock; nil is the machine's.
	Now  func() time.Time
	Wait func(ctx context.Context, delay time.Duration) error
}

const timeout = 30 * time.Second

// Run pings until ctx ends.
func Run(ctx context.Context, config Config) error {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Wait == nil {
		config.Wait = wait
	}
	pingers, err := newPingers(config)
	if err != nil {
		return err
	}
	var running sync.WaitGroup
	for _, p := range pingers {
		running.Go(func() { p.run(ctx) })
	}
	running.Wait()
	return nil
}

type pinger struct {
	source   Source
	schedule cron.Schedule
	config   Config
	client   *http.Client
	failing  bool
}

// Validate says why the source can't work.
func (s Source) Validate() error {
	_, err := s.schedule()
	return err
}

func (s Source) schedule() (cron.Schedule, error) {
	line := s.Schedule
	if s.Timezone != "" {
		line = "CRON_TZ=" + s.Timezone + " " + line
	}
	schedule, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow).Parse(line)
	if err == nil {
		_, err = http.NewRequest(http.MethodPost, s.Sink, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("ping source %s/%s: %w", s.Namespace, s.Name, err)
	}
	return schedule, nil
}

func newPingers(config Config) ([]*pinger, error) {
	var pingers []*pinger
	var invalid error
	for _, source := range config.Sources {
		schedule, err := source.schedule()
		if err != nil {
			invalid = errors.Join(invalid, err)
			continue
		}
		client := &http.Client{Timeout: timeout, Transport: &http.Transport{}}
		pingers = append(pingers, &pinger{source: source, schedule: schedule, config: config, client: client})
	}
	return pingers, invalid
}

func (p *pinger) run(ctx context.Context) {
	defer p.client.CloseIdleConnections()
	for at := p.config.Now(); ; {
		at = p.schedule.Next(at.UTC())
		if p.config.Wait(ctx, at.Sub(p.config.Now())) != nil {
			return
		}
		p.note(ctx, p.ping(ctx, at))
		// A machine that slept does not make up for what it missed.
		if now := p.config.Now(); now.After(at) {
			at = now
		}
	}
}

func (p *pinger) ping(ctx context.Context, at time.Time) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.source.Sink, bytes.NewReader([]byte(p.source.Data)))
	if err != nil {
		return fmt.Errorf("make ping: %w", err)
	}
	p.describe(request.Header, at)
	response, err := p.client.Do(request)
	if err != nil {
		return fmt.Errorf("send ping: %w", err)
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("send ping: sink answers %s", response.Status)
	}
	return nil
}

// EventType is the type of every ping.
const EventType = "dev.knative.sources.ping"

// EventSource is the source of a PingSource's pings.
func EventSource(namespace, name string) string {
	return "/apis/v1/namespaces/" + namespace + "/pingsources/" + name
}

// describe writes the event's attributes, in binary mode.
func (p *pinger) describe(header http.Header, at time.Time) {
	header.Set("Ce-Specversion", "1.0")
	header.Set("Ce-Id", uuid.NewString())
	header.Set("Ce-Type", EventType)
	header.Set("Ce-Source", EventSource(p.source.Namespace, p.source.Name))
	header.Set("Ce-Time", at.UTC().Format(time.RFC3339Nano))
	if p.source.Data != "" && p.source.ContentType != "" {
		header.Set("Content-Type", p.source.ContentType)
	}
}

// note logs when pings begin to fail and when they arrive again.
func (p *pinger) note(ctx context.Context, err error) {
	logger := p.config.Logger.With("source", p.source.Name)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil && !p.failing:
		logger.Warn("ping source: pings do not arrive", "err", err)
	case err == nil && p.failing:
		logger.Info("ping source: pings arrive again")
	}
	p.failing = err != nil
}

func wait(ctx context.Context, delay time.Duration) error {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
