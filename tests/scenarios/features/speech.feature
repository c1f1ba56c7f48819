Feature: Speech
  Utterances are found, logged and cut out.

  Scenario: Two utterances with silence around them
    Given a recording of two people who speak after one another
    When the vad pipeline listens to it
    Then speech is found where somebody speaks and nowhere else
    And every utterance is a file of its own, to 40 ms as long as the log says
