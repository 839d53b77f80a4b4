// Package plugin is a detector: it finds forbidden words.
package plugin

import (
	"errors"
	"fmt"

	"portcullis"
	"portcullis/log"
)

// Findings of one call; more would tell nobody anything.
const most = 100

type words struct {
	words []string
	score float32
}

// Configure runs once per configuration; what it makes is there in every call.
func Configure(text string) (portcullis.Detector, error) {
	config, err := portcullis.ReadConfig(text, "words", "score")
	if err != nil {
		return nil, err
	}
	list, ok := config.Texts("words")
	if !ok || len(list) == 0 {
		return nil, errors.New("words: give a list of at least one word")
	}
	for index, word := range list {
		if word == "" {
			return nil, fmt.Errorf("words[%d]: an empty word would be found everywhere", index)
		}
	}
	score, ok := 0.9, true
	if config.Has("score") {
		score, ok = config.Number("score")
	}
	if !ok || score < 0 || score > 1 {
		return nil, errors.New("score: use a number from 0 to 1")
	}
	return words{list, float32(score)}, nil
}

// Inspect runs once per call. Nothing that it changes is seen by the next call.
func (plugin words) Inspect(call portcullis.Call, payload portcullis.Payload) ([]portcullis.Finding, error) {
	findings := plugin.find(payload)
	if len(findings) > 0 {
		log.Debug("%d words found", len(findings))
	}
	return findings, nil
}

func (plugin words) find(payload portcullis.Payload) []portcullis.Finding {
	var findings []portcullis.Finding
	for _, text := range payload.Texts() {
		for _, word := range plugin.words {
			for span := range text.Find(word) {
				findings = append(findings, portcullis.Finding{
					Category: "word.forbidden",
					Score:    plugin.score,
					Message:  "a forbidden word: " + word,
					Spans:    []portcullis.Span{span},
				})
				if len(findings) == most {
					return findings
				}
			}
		}
	}
	return findings
}
