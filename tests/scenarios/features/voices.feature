Feature: Voices
  Somebody who agrees lends their voice; it speaks, and it can be taken back.

  Scenario: From a recording to a voice
    Given a recording of reader 3005
    When a voice is made of it with the reader's consent
    And the voice says "The museum will close early today because of the heavy snow."
    Then what is heard is more like the reader than like reader 1998
    And what is heard carries the mark of made speech

  Scenario: Nobody is imitated without being asked
    Given a recording of reader 3005
    When somebody tries to make a voice of it without consent
    Then it is refused with "a voice is made only with its speaker's consent"

  Scenario: A sentence that another person reads proves nothing
    Given a recording of reader 3005
    When somebody tries to prove the consent with a recording of reader 1998
    Then it is refused with "the voice that reads the sentence is not that of the sample"

  Scenario: Silence is no voice
    Given a recording of silence
    When somebody tries to make a voice of it
    Then it is refused with "the sample is silent"

  Scenario: A song is sung by somebody, so the band goes first
    Given a recording of song 26
    When a voice is made of it with the reader's consent
    Then the card says "taken away by the separator"

  Scenario: Two people are not one voice
    Given a recording of reader 1688 and then reader 1998
    When somebody tries to make a voice of it
    Then it is refused with "a second voice takes over in it"

  Scenario: A voice moves to another host and is deleted here
    Given a recording of reader 3005
    When a voice is made of it with the reader's consent
    And the voice is exported, deleted and imported again
    And the voice says "I have never owned a watch that kept the right time."
    Then what is heard is more like the reader than like reader 1998
