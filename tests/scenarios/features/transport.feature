Feature: Pause, play, seek, next and loop
  Commands are heard within 300 ms, and nothing old is heard after them.

  Scenario: Pause and play
    Given the karaoke pipeline plays the demo song
    When the song is paused
    Then there is silence within 300 ms
    And the song time stands still
    When the song goes on
    Then the music is heard within 300 ms
    And the song goes on where it stopped

  Scenario: Seek
    Given the karaoke pipeline plays the demo song
    When the song is moved to second 6
    Then the song is heard from second 6 on within 300 ms
    And nothing of the old place is heard any more

  Scenario: Seek backwards
    Given the karaoke pipeline plays the demo song
    When the song is moved to second 0.5
    Then the song is heard from second 0.5 on within 300 ms
    And nothing of the old place is heard any more

  Scenario: Next
    Given the karaoke pipeline plays the demo song and then another song
    When the next song is chosen
    Then the other song is heard from second 0 on within 300 ms

  Scenario: A song in a loop begins again without a pause
    Given the karaoke pipeline plays the demo song
    When the song is moved to second 10
    And 2 seconds pass
    Then the song has begun again
    And the music was never silent for more than 30 ms
