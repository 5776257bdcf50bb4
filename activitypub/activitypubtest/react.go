package activitypubtest

import (
	"context"
	"time"
)

// react does what the software does by itself when something arrives: follows are accepted or wait, answers and undos
// are taken note of.
func (s *Server) react(doc map[string]any, from string) {
	inner, _ := doc["object"].(map[string]any)
	switch doc["type"] {
	case "Follow":
		if a := s.byID(idOf(doc["object"])); a != nil {
			a.followed(doc, from)
		}
	case "Accept":
		if a := s.byID(idOf(inner["actor"])); a != nil {
			a.mu.Lock()
			a.following[from] = true
			a.mu.Unlock()
		}
	case "Reject":
		if a := s.byID(idOf(inner["actor"])); a != nil {
			a.mu.Lock()
			delete(a.following, from)
			delete(a.asked, from)
			a.mu.Unlock()
		}
	case "Undo":
		if inner["type"] == "Follow" {
			if a := s.byID(idOf(inner["object"])); a != nil {
				a.lose(from)
			}
		}
	case "Block":
		if a := s.byID(idOf(doc["object"])); a != nil {
			a.lose(from)
		}
	}
}

func (a *Actor) lose(follower string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.followers, follower)
	delete(a.pending, follower)
}

func (a *Actor) followed(follow map[string]any, from string) {
	a.mu.Lock()
	a.pending[from] = follow
	locked := a.o.Locked
	a.mu.Unlock()
	if locked {
		return
	}
	// Answered after the 202, as real servers do: the follower is surely ready then.
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		_ = a.AcceptFollow(ctx, from) // seen by the test as a missing Accept
	}()
}
