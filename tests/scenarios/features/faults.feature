Feature: What happens when a part dies
  A part that is killed comes back by itself, and people hear as little of it as can be.

  Scenario: The separator dies
    Given the karaoke pipeline plays the demo song
    And the voice level is -24 dB
    When the separator is killed
    Then the loudspeaker misses at most 10 ms of music
    And the voice is as loud as before
    And the recording can be opened

  Scenario: The mixer dies
    Given the karaoke pipeline plays the demo song
    And the voice level is -24 dB
    When the mixer is killed
    Then the loudspeaker misses at most 300 ms of music
    And the voice is as loud as before
    And the recording can be opened

  Scenario: The recorder dies
    Given the karaoke pipeline plays the demo song
    And the voice level is -24 dB
    When the recorder is killed
    Then the loudspeaker misses at most 0 ms of music
    And nothing is missing in the recording
    And the recording can be opened

  Scenario: The song's reader dies
    Given the karaoke pipeline plays the demo song
    When the song's reader is killed
    Then the music is heard again
    And the recording can be opened
