package bridgetest

import (
	"context"

	"footbridge/activitypub/activitypubtest"
	"footbridge/atproto/atprototest"
)

// People are two who joined and one who did not, for tests of their own.
type People struct {
	Ana, Cleo *activitypubtest.Actor
	Ben       *atprototest.Account
	// AnaCopy is the DID of Ana's copy, BenCopy the actor id of Ben's, Bot the bridge's actor.
	AnaCopy, BenCopy, Bot string
	View                  AppView
}

// Gather lets the story's people join and follow each other, and hands them over.
func (s *Story) Gather(ctx context.Context, w *World) (*People, error) {
	s.w, s.view = w, AppView{Base: w.AT.AppView.URL(), HTTP: s.http}
	for _, step := range []func(context.Context) error{s.people, s.anaJoins, s.benJoins, s.follow} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	bot, _, _, err := s.bot(ctx)
	return &People{Ana: s.ana, Cleo: s.cleo, Ben: s.ben, AnaCopy: s.anaCopy, BenCopy: s.benCopy, Bot: bot, View: s.view}, err
}
