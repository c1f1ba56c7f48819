Feature: Surroundings and a clean end
  What is missing is said, and what was started is gone in the end.

  Scenario: A microphone that is not there
    Given the karaoke pipeline plays the demo song
    Then it is said that the microphone is left out
    And the music is heard

  Scenario: The song is over
    Given the karaoke pipeline plays the demo song
    When the loop is switched off
    And the song is moved to second 10
    Then the pipeline ends by itself within 10 seconds
    And it ended without an error
    And the recordings are equally long
    And nothing of it is left

  Scenario: Somebody ends it
    Given the karaoke pipeline plays the demo song
    When the pipeline is ended
    Then it ended without an error
    And the recordings are equally long
    And nothing of it is left

  Scenario: Ctrl-C
    Given somebody runs the karaoke pipeline on the command line
    When Ctrl-C is pressed
    Then the command ends within 15 seconds with exit code 0
    And the recordings are equally long
    And nothing of it is left

  Scenario: The whole program is killed
    Given somebody runs the karaoke pipeline on the command line
    When the program is killed
    Then no process of it is left after 5 seconds
