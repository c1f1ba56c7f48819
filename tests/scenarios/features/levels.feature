Feature: Faders, mute and solo
  Voice and band of a playing song have a fader each; what is set is heard at once.

  Scenario: The voice fader
    Given the karaoke pipeline plays the demo song
    When the voice level is set to -60 dB
    Then the voice is at least 10 dB quieter
    And the band changes by less than 2 dB

  Scenario: The band fader
    Given the karaoke pipeline plays the demo song
    When the band level is set to -20 dB
    Then the band is 20 dB quieter
    And the voice changes by less than 0.5 dB

  Scenario: Mute and unmute
    Given the karaoke pipeline plays the demo song
    When the voice is muted
    Then the voice is silent
    And the band changes by less than 0.5 dB
    When the voice is unmuted
    Then the voice is heard

  Scenario: Solo silences everything else
    Given the karaoke pipeline plays the demo song
    When the voice is played solo
    Then the band is silent
    And the voice changes by less than 0.5 dB

  Scenario: A level that cannot be
    Given the karaoke pipeline plays the demo song
    When somebody tries to set the voice level to 99 dB
    Then this is refused with "expected a number >= -120 and <= 24, got 99"
    And the voice changes by less than 0.5 dB
