Feature: Files in, files out
  Offline a pipeline is as fast as the machine, loses nothing and gives the same result each time.

  Scenario: A song is split into voice and band
    Given a song of 3 seconds
    When the stems pipeline splits it offline
    Then there are the files vocals.wav and accompaniment.wav as long as the song
    And together they are the song again
    When the stems pipeline splits it offline once more
    Then the files are the same bit by bit

  Scenario: A level that changes at a given second
    Given a song of 3 seconds
    When the karaoke pipeline plays it offline, the voice level at -60 dB from second 1.5 on
    Then the mix is voice plus band until second 1.5
    And the voice is 60 dB quieter from second 1.5 on
