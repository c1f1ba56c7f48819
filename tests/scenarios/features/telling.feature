Feature: A voice is told what to say
  Text is spoken while it is still being written, and stops when it is no longer wanted.

  Scenario: Words are spoken while the rest is being written
    Given a voice that waits for words
    When somebody writes "Well, hello there. Three of us"
    Then "Well, hello there." is heard
    When somebody writes "went to the old mill." and ends
    Then all of it was heard in order

  Scenario: Somebody stops the voice
    Given a voice that waits for words
    When somebody writes "One two three four five six seven eight nine ten, and then again from one to ten." and ends
    And the voice has begun
    And the voice is stopped
    Then no more is said
    When somebody writes "Something new." and ends
    Then "Something new." is heard
    And nothing of the old text is heard after the stop

  Scenario: Whoever writes stops in the middle
    Given a voice that waits for words
    When somebody writes "Well, hello there. Three of us went"
    Then "Three of us went" is heard
    And the log says "no further text for 2 s"
