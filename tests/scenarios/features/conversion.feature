Feature: Another voice
  Who speaks is heard with the voice of somebody else, and what is heard can be told from a recording.

  Scenario: A reader is heard as another one
    Given a reading, and a sample of another reader
    When the voice_convert pipeline converts it offline
    Then the converted reading is as long as the one before
    And it is more like the other reader than before
    And only the converted reading carries the watermark
