package mailbox

import (
	"errors"
	"net/http"
	"strconv"
)

const (
	defaultPage = 50
	maxPage     = 500
)

// list is the answer of GET /api/messages.
type list struct {
	Messages []Message `json:"messages"`
	// Next is the value of ?before= for older messages; empty at the end.
	Next string `json:"next"`
}

func (s *Server) listMessages(w http.ResponseWriter, r *http.Request) {
	f, err := parseFilter(r)
	if err != nil {
		refuseMail(w, http.StatusBadRequest, problem{Message: "before or limit is not a number"})
		return
	}
	found, err := s.page(f)
	if err != nil {
		s.unavailable(w, err)
		return
	}
	answer(w, http.StatusOK, found)
}

// page asks for one message more than it returns, to know whether there is more.
func (s *Server) page(f filter) (list, error) {
	limit := f.limit
	f.limit++
	messages, err := s.store.list(f)
	if err != nil || len(messages) <= limit {
		return list{Messages: messages}, err
	}
	return list{Messages: messages[:limit], Next: messages[limit-1].ID}, nil
}

func parseFilter(r *http.Request) (filter, error) {
	query := r.URL.Query()
	f := filter{to: query.Get("to"), order: query.Get("order"), limit: defaultPage}
	var beforeErr, limitErr error
	if before := query.Get("before"); before != "" {
		f.before, beforeErr = strconv.ParseUint(before, 10, 64)
	}
	if limit := query.Get("limit"); limit != "" {
		f.limit, limitErr = strconv.Atoi(limit)
		f.limit = min(max(f.limit, 1), maxPage)
	}
	return f, errors.Join(beforeErr, limitErr)
}

func (s *Server) countEvents(w http.ResponseWriter, _ *http.Request) {
	waiting, err := s.store.waiting()
	if err != nil {
		s.unavailable(w, err)
		return
	}
	answer(w, http.StatusOK, map[string]int{"waiting": waiting})
}

func (s *Server) getMessage(w http.ResponseWriter, r *http.Request) {
	m, err := s.message(r)
	switch {
	case errors.Is(err, errNoMessage):
		s.refuse(w, http.StatusNotFound)
	case err != nil:
		s.unavailable(w, err)
	default:
		answer(w, http.StatusOK, m)
	}
}

func (s *Server) message(r *http.Request) (Message, error) {
	id, err := strconv.ParseUint(r.PathValue("id"), 10, 64)
	if err != nil {
		return Message{}, errNoMessage
	}
	return s.store.find(id)
}

func (s *Server) deleteMessages(w http.ResponseWriter, _ *http.Request) {
	if err := s.store.clear(); err != nil {
		s.unavailable(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
